"""The user's rules at work in the scores."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detectors.diffusion.metrics import frame_of
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.scoring.rules import Rule


def _score_of(detector: DiffusionDetector, rows: np.ndarray, rule: Rule | None) -> float:
    rules = None if rule is None else {"m1": rule}
    return float(detector.score(frame_of(rows), first=100, rules=rules).attribution[0, 1])


@pytest.mark.parametrize("sign", [1, -1])
def test_rules_decide_what_counts(detector: DiffusionDetector, fresh: np.ndarray, sign: int) -> None:
    """A deviation in the unwanted direction, or smaller than wanted, leaves its metric without a share of the score."""
    size = 8 * fresh[:, 1].std()
    fresh[100, 1] += sign * size
    wanted, unwanted = ("above_expected", "below_expected")[::sign]
    plain = _score_of(detector, fresh, None)
    assert plain > 0.5
    assert _score_of(detector, fresh, Rule(wanted)) == plain  # type: ignore[arg-type]
    assert _score_of(detector, fresh, Rule(unwanted)) == 0  # type: ignore[arg-type]
    assert _score_of(detector, fresh, Rule(min_dev=0.5 * size)) == plain
    assert _score_of(detector, fresh, Rule(min_dev=2 * size)) == 0
    assert _score_of(detector, fresh, Rule(min_rel_dev=0.25 * size / 10)) == plain
    assert _score_of(detector, fresh, Rule(min_rel_dev=4 * size / 10)) == 0


def test_a_rule_never_raises_a_score(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Rules take evidence away; they add none."""
    plain = detector.score(frame_of(fresh)).score
    ruled = detector.score(frame_of(fresh), rules={"m0": Rule("above_expected"), "m2": Rule(min_dev=0.1)}).score
    assert (ruled <= plain).all()


def test_rules_hold_through_a_lasting_shift(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A shift larger than the least deviation is not excused from its second row on because the first was like it."""
    size = 8 * fresh[:, 1].std()
    fresh[100:104, 1] += size
    attribution = detector.score(frame_of(fresh), first=100, rules={"m1": Rule(min_dev=0.3 * size)}).attribution
    assert (attribution[:2, 1] > 0).all()
