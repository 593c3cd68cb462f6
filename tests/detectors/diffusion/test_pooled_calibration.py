"""Many groups with little history: thresholds that they have together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared
from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.timeseries.frame import Frame, Series

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1D")
CONFIG = DiffusionModelConfig(shared=True, window=8, width=16, layers=1, fit_steps=40, samples=8)
GROUPS, FITTED, ROWS = 50, 56, 112


def sparse(seed: int) -> np.ndarray:
    """Amounts of a group's own size, in half of the rows only."""
    rng = np.random.default_rng(seed)
    values = rng.uniform(5, 100) * (1 + 0.5 * rng.normal(size=(ROWS, 1)))
    values[rng.random(ROWS) < 0.5] = np.nan
    return np.asarray(values)


def frame(values: np.ndarray) -> Frame:
    return Frame(START, STEP, values, (Series("amount"),))


def fit(groups: int) -> SharedNetwork:
    histories = [frame(sparse(seed)[:FITTED]) for seed in range(groups)]
    return fit_shared(histories, CONFIG, confirm_rows=1, quiet_rows=5)


@pytest.fixture(scope="module")
def network() -> SharedNetwork:
    return fit(GROUPS)


def serve(network: SharedNetwork, seed: int, confirm_rows: int = 1) -> DiffusionDetector:
    return DiffusionDetector.fit(frame(sparse(seed)[:FITTED]), base=network, confirm_rows=confirm_rows)


def test_all_groups_together_keep_their_allowance(network: SharedNetwork) -> None:
    """Eight weeks of history of each: in the eight weeks after, events are about as many as all may have."""
    allowed = 4.0
    rows = 0
    for seed in range(GROUPS):
        scores = serve(network, seed).score(frame(sparse(seed)), first=FITTED, alarms_per_week=allowed / GROUPS)
        rows += int((scores.score > 1).sum())
    assert allowed / 3 < rows / 8 < allowed * 2


def test_an_outlier_is_found_at_once(network: SharedNetwork) -> None:
    """A value that no group ever had is above the threshold, in nearly all groups, and attributed to its metric."""
    found = 0
    for seed in range(20):
        values = sparse(seed)
        values[60] = 5 * np.nanmean(values[:FITTED])
        scores = serve(network, seed).score(frame(values), first=FITTED, alarms_per_week=4.0 / GROUPS)
        found += int(scores.score[4] > 1)
        assert scores.attribution[4] == pytest.approx([1.0])
    assert found >= 18


def test_short_histories_share_thresholds(network: SharedNetwork) -> None:
    """Two groups with little history have the same law; so has one that the fit has never seen."""
    laws = [serve(network, seed).card.plans["stream"].calibration for seed in (0, 1, 10_000)]
    assert isinstance(laws[0], PooledCalibration)
    assert laws[0] == laws[1] == laws[2]
    assert laws[0].groups == GROUPS


def test_a_long_history_keeps_its_own_thresholds(network: SharedNetwork) -> None:
    """If a part of the history is held out, that part says what normal scores of the group are."""
    values = np.random.default_rng(0).normal(size=(400, 1))
    detector = DiffusionDetector.fit(frame(values), base=network, confirm_rows=1)
    assert not isinstance(detector.card.plans["stream"].calibration, PooledCalibration)


def test_another_event_policy_is_not_served(network: SharedNetwork) -> None:
    """Thresholds rehearsed for events of one row say nothing about events of two."""
    detector = serve(network, 0, confirm_rows=2)
    assert not isinstance(detector.card.plans["stream"].calibration, PooledCalibration)


def test_few_groups_rehearse_nothing() -> None:
    """A handful does not stand for all: each calibrates on its own, as before."""
    assert fit(19).card.calibrations == {}
    assert set(fit(20).card.calibrations) == {"stream", "batch"}


def test_a_rehearsal_is_reproducible_and_kept(network: SharedNetwork, tmp_path: Path) -> None:
    """The same histories give the same thresholds, and loading what was saved changes nothing."""
    assert fit(GROUPS).card.calibrations == network.card.calibrations
    network.save(tmp_path / "network")
    assert SharedNetwork.load(tmp_path / "network").card.calibrations == network.card.calibrations
    detector = serve(network, 0)
    detector.save(tmp_path / "group")
    loaded = DiffusionDetector.load(tmp_path / "group")
    assert loaded.card.plans == detector.card.plans
    rest = frame(sparse(0))
    assert np.array_equal(loaded.score(rest).score, detector.score(rest).score, equal_nan=True)


def test_a_rehearsal_can_be_given_up() -> None:
    """Anyone who asks a fit to stop is heard between two groups, not only while it trains."""

    class StopAskedError(Exception):
        pass

    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if calls.count(total) == 3:
            raise StopAskedError

    with pytest.raises(StopAskedError):
        fit_shared([frame(sparse(seed)[:FITTED]) for seed in range(30)], CONFIG, confirm_rows=1, progress=progress)
