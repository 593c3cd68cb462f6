from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from tsdiff_monitor.scoring.drift import WINDOW_SECONDS, Drift, factors

MINUTE = 60.0
DAY_ROWS = 1440


def followed(score: np.ndarray, normal: float, step_seconds: float) -> np.ndarray:
    """Scores as they count."""
    return score / factors(score, normal, step_seconds)


def test_what_stays_as_it_was_counts_as_it_is() -> None:
    """Scores around the ordinary one, or below it, are left alone."""
    scores = np.random.default_rng(0).uniform(0.1, 0.9, DAY_ROWS)
    assert followed(scores, 0.5, MINUTE) == pytest.approx(scores, rel=0.1)
    assert (followed(scores, 2.0, MINUTE) == scores).all()


def test_a_lasting_rise_counts_by_its_root() -> None:
    """Once the window holds nothing but the new level, four times the ordinary score counts as twice of it."""
    rows = round(WINDOW_SECONDS / MINUTE)
    scores = np.concatenate([np.full(rows, 1.0), np.full(2 * rows, 4.0)])
    relative = followed(scores, 1.0, MINUTE)
    assert (relative[:rows] == 1.0).all()
    assert relative[rows] == 4.0  # at first it stands out
    assert relative[-1] == pytest.approx(2.0)


def test_a_short_incident_leaves_no_trace() -> None:
    """An hour of high scores changes nothing of how the hour after it is judged."""
    scores = np.full(DAY_ROWS, 1.0)
    scores[700:760] = 50.0
    assert (followed(scores, 1.0, MINUTE) == scores).all()


def test_nothing_is_followed_before_there_is_enough() -> None:
    """The first rows count as they are, however high: a quarter of the window must be known."""
    relative = followed(np.full(DAY_ROWS, 9.0), 1.0, MINUTE)
    early = round(WINDOW_SECONDS / MINUTE / 4)
    assert (relative[:early] == 9.0).all()
    assert relative[early + 16] == pytest.approx(3.0)


def test_what_was_before_a_gap_is_forgotten() -> None:
    """After a window without scores nothing is left to go by; missing rows themselves stay missing."""
    rows = round(WINDOW_SECONDS / MINUTE)
    scores = np.concatenate([np.full(rows, 9.0), np.full(2 * rows, np.nan), np.full(30, 9.0)])
    relative = followed(scores, 1.0, MINUTE)
    assert relative[rows - 1] == pytest.approx(3.0)
    assert np.isnan(relative[rows : 3 * rows]).all()
    assert (relative[-30:] == 9.0).all()


@pytest.mark.parametrize("step", [1.0, 10.0, 300.0])
def test_the_step_hardly_matters(step: float) -> None:
    """The same rise is seen from rows of any step, and a piece never holds more than a few scores."""
    drift, day = Drift(1.0), round(86_400 / step)
    for row in range(day):
        time = row * round(step * 10**9)
        counted = drift.relative(time, 4.0)
        drift.add(time, 4.0)
        assert len(drift.samples) <= 15
        assert len(drift.pieces) <= 25
    assert counted == pytest.approx(2.0)


def test_it_can_be_stored_at_any_row() -> None:
    """A state written to JSON and read back after each row goes on as one that was kept."""
    scores = np.random.default_rng(1).lognormal(0.5, 0.5, 800)
    drift = Drift(1.0)
    again = []
    for row, score in enumerate(scores.tolist()):
        drift = Drift.from_json(json.loads(json.dumps(asdict(drift))))
        again.append(drift.relative(row * 60 * 10**9, score))
        drift.add(row * 60 * 10**9, score)
    assert again == followed(scores, 1.0, MINUTE).tolist()
