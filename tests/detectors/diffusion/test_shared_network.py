"""One network for many groups, and for groups never seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared
from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, DataError, ModelError
from tsdiff_monitor.timeseries.frame import Frame, Series

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
CONFIG = DiffusionModelConfig(shared=True, window=16, width=32, layers=2, fit_steps=250, samples=8)
QUICK = CONFIG.model_copy(update={"fit_steps": 15, "layers": 1})


def group(metrics: int, seed: int, rows: int = 2000) -> np.ndarray:
    """Metrics driven by two waves and an AR(1) that are the group's own."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    drift = np.zeros(rows)
    for i in range(1, rows):
        drift[i] = 0.9 * drift[i - 1] + 0.4 * rng.normal()
    shared = np.stack([np.sin(t / rng.uniform(3, 8)), np.cos(t / rng.uniform(8, 20)), drift], 1)
    return np.asarray(10 + shared @ rng.normal(size=(3, metrics)) + 0.1 * rng.normal(size=(rows, metrics)))


def frame(values: np.ndarray) -> Frame:
    return Frame(START, STEP, values, tuple(Series(f"m{k}") for k in range(values.shape[1])))


@pytest.fixture(scope="module")
def network() -> SharedNetwork:
    return fit_shared([frame(group(K, seed)) for seed, K in enumerate((4, 5, 6, 5))], CONFIG)


@pytest.fixture(scope="module")
def quick() -> SharedNetwork:
    return fit_shared([frame(group(3, seed, 300)) for seed in range(2)], QUICK)


@pytest.mark.parametrize("metrics", [1, 3, 7])
def test_a_group_never_seen_is_scored_at_once(network: SharedNetwork, metrics: int) -> None:
    """Of any number of metrics, without a step of training: normal rows are below 1, a spike is above and to blame."""
    values = group(metrics, seed=100 + metrics, rows=2400)
    detector = DiffusionDetector.fit(frame(values[:2000]), base=network)
    assert detector.card.steps == 0
    rest = values[2000:].copy()
    rest[200:203, -1] += 15 * rest[:, -1].std()
    scores = detector.score(frame(rest), first=16)
    assert (np.delete(scores.score, range(184, 200)) < 1).mean() > 0.98
    assert (scores.score[184:187] > 1).all()
    assert (scores.attribution[184:187].argmax(1) == metrics - 1).all()


def test_the_same_weights_serve_all(network: SharedNetwork) -> None:
    """Without adaptation the groups' networks are one, also in memory; what is a group's own is not."""
    a, b = (DiffusionDetector.fit(frame(group(K, seed=K, rows=300)), base=network) for K in (3, 7))
    assert a.imputer is b.imputer is network.imputer
    assert a.card.plans["stream"].calibration != b.card.plans["stream"].calibration


def test_adaptation_changes_the_groups_own_network_only(quick: SharedNetwork) -> None:
    """A few steps on the group give it weights of its own; the shared ones stay as they are."""
    before = quick.digest
    config = quick.config.model_copy(update={"adapt_steps": 4})
    seen: list[tuple[int, int]] = []
    adapted = DiffusionDetector.fit(
        frame(group(3, 9, 300)), config, base=quick, progress=lambda done, total: seen.append((done, total))
    )
    assert adapted.card.steps == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert quick.digest == before
    unadapted = DiffusionDetector.fit(frame(group(3, 9, 300)), base=quick)
    rest = frame(group(3, 9, 350)[300:])
    assert not np.array_equal(adapted.score(rest).score, unadapted.score(rest).score)


def test_the_fit_is_reproducible() -> None:
    """Same histories and seed, same weights; another seed, others."""
    frames = [frame(group(3, seed, 200)) for seed in range(3)]
    digests = [fit_shared(frames, QUICK.model_copy(update={"seed": seed})).digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


def test_groups_without_enough_history_teach_nothing() -> None:
    """Too short or empty, they are left out; with no other there is nothing to fit."""
    good = frame(group(3, 0, 200))
    useless = [frame(group(2, 1, 10)), frame(np.full((100, 4), np.nan))]
    assert fit_shared([*useless, good], QUICK).digest == fit_shared([good], QUICK).digest
    with pytest.raises(DataError, match=r"no group has the 16 rows of one window.*give more history"):
        fit_shared(useless, QUICK)


def test_long_histories_are_thinned() -> None:
    """Memory is bounded: of more cells than may be held, windows spread over the history teach, the first and last."""
    first, last = group(3, 0, 2000), group(3, 0, 2000)
    last[:1800] = 10 + np.random.default_rng(0).normal(size=(1800, 3))
    few, other = (fit_shared([frame(values)], QUICK, cells=600) for values in (first, last))
    assert few.card.steps == QUICK.fit_steps
    assert few.digest != other.digest != fit_shared([frame(last)], QUICK).digest


def test_the_budget_ends_training() -> None:
    """Fitting stops after the step in which the time has run out, with a usable network."""
    ticks = iter(range(0, 100_000, 400))
    network = fit_shared([frame(group(3, 0, 200))], QUICK, clock=lambda: float(next(ticks)))
    assert network.card.steps == 3  # 15 minutes by default, 400 s a step


# --- what metrics should have been ----------------------------------------------------------------------------------


def test_expected_is_what_the_others_say(network: SharedNetwork) -> None:
    """A metric that went astray long ago is expected where it would have been, within its band as often as promised."""
    values = group(5, seed=50, rows=2400)
    detector = DiffusionDetector.fit(frame(values[:2000]), base=network)
    rest = values[2000:]
    spoilt = rest.copy()
    spoilt[:, 2] += 1e6
    expected = detector.expected(frame(spoilt), ["m2"], first=100, last=300)
    truth = rest[100:300, [2]]
    inside = (truth >= expected.yhat_lower) & (truth <= expected.yhat_upper)
    assert inside.mean() > 0.9
    assert np.abs(expected.yhat - truth).mean() < 0.5 * rest[:, 2].std()


def test_all_metrics_at_once_are_forecast(network: SharedNetwork) -> None:
    """With nothing else given, metrics are expected from their own past."""
    values = group(3, seed=51, rows=1200)
    detector = DiffusionDetector.fit(frame(values[:1000]), base=network)
    expected = detector.expected(frame(values[1000:]), ["m0", "m1", "m2"], first=50, last=60)
    assert np.isfinite(expected.yhat).all()
    assert (expected.yhat_lower < expected.yhat_upper).all()


# --- on disk --------------------------------------------------------------------------------------------------------


def test_a_loaded_network_is_the_same(quick: SharedNetwork, tmp_path: Path) -> None:
    """Saving and loading loses nothing: a group is served alike."""
    quick.save(tmp_path)
    loaded = SharedNetwork.load(tmp_path)
    assert (loaded.digest, loaded.config) == (quick.digest, quick.config)
    history, rest = frame(group(3, 7, 300)), frame(group(3, 7, 350)[300:])
    one, other = (DiffusionDetector.fit(history, base=base).score(rest).score for base in (quick, loaded))
    assert np.array_equal(one, other)


def test_a_served_detector_needs_no_shared_network(quick: SharedNetwork, tmp_path: Path) -> None:
    """A group's model is whole in itself: stored and loaded, it scores and explains alike."""
    detector = DiffusionDetector.fit(frame(group(3, 7, 300)), base=quick)
    detector.save(tmp_path)
    loaded, rest = DiffusionDetector.load(tmp_path), frame(group(3, 7, 350)[300:])
    assert np.array_equal(loaded.score(rest).score, detector.score(rest).score)
    one, other = (d.expected(rest, ["m1"], first=20, last=30).yhat_upper for d in (loaded, detector))
    assert np.array_equal(one, other)


def test_damaged_networks_are_refused(quick: SharedNetwork, tmp_path: Path) -> None:
    """None there, altered weights, a card of another kind or version: each is an error that says what to do."""
    with pytest.raises(ModelError, match="no model here; fit one first"):
        SharedNetwork.load(tmp_path)
    quick.save(tmp_path)
    path = tmp_path / "card.json"
    card = json.loads(path.read_text())
    for change, error in (
        ({"schema_version": 99}, CardVersionError),
        ({"kind": "diffusion"}, DamagedModelError),
        ({"config": {**card["config"], "width": 64}}, DamagedModelError),
    ):
        path.write_text(json.dumps({**card, **change}))
        with pytest.raises(error, match="fit again"):
            SharedNetwork.load(tmp_path)
    path.write_text(json.dumps(card))
    (weights,) = tmp_path.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(DamagedModelError, match="fit again"):
        SharedNetwork.load(tmp_path)


def test_another_network_than_configured_is_refused(quick: SharedNetwork) -> None:
    """A base of another window, or a configuration that shares none, is an error that names both."""
    history = frame(group(3, 0, 300))
    for change in ({"window": 32}, {"layers": 3}, {"shared": False}):
        with pytest.raises(ModelError, match=r"has window 16, width 32 and 1 layers, but the configuration has"):
            DiffusionDetector.fit(history, QUICK.model_copy(update=change), base=quick)
