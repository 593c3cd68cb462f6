from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.detector import DiffusionDetector
from tsdiff_monitor.errors import CardVersionError, DamagedModelError, DataError, ModelError, SchemaMismatchError
from tsdiff_monitor.frame import Frame, Series
from tsdiff_monitor.scores import Scores
from tsdiff_monitor.scoring.calibration import confirmed_level
from tsdiff_monitor.scoring.rules import Rule

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
CONFIG = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=400, samples=16)
QUICK = CONFIG.model_copy(update={"fit_steps": 30})
FIT_ROWS, ROWS = 4000, 4400


def _values(rows: int = ROWS, metrics: int = 4, seed: int = 0) -> np.ndarray:
    """Metrics driven by two shared waves and a shared AR(1), in units of their own, with a little noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    drift = np.zeros(rows)
    for i in range(1, rows):
        drift[i] = 0.9 * drift[i - 1] + 0.4 * rng.normal()
    shared = np.stack([np.sin(t / 6), np.cos(t / 15), drift], 1)
    return np.asarray(10 + shared @ rng.normal(size=(3, metrics)) + 0.1 * rng.normal(size=(rows, metrics)))


def _frame(values: np.ndarray, first: int = 0, step: pd.Timedelta = STEP) -> Frame:
    return Frame(START + first * step, step, values, tuple(Series(f"m{k}") for k in range(values.shape[1])))


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return _values()


@pytest.fixture(scope="module")
def detector(values: np.ndarray) -> DiffusionDetector:
    return DiffusionDetector.fit(_frame(values[:FIT_ROWS]), CONFIG)


@pytest.fixture
def fresh(values: np.ndarray) -> np.ndarray:
    """Rows after those of the fit, free to be spoilt."""
    return values[FIT_ROWS:].copy()


def _confirmed(scores: Scores) -> np.ndarray:
    return np.asarray(confirmed_level(scores.score, 2) > 1)


# --- scores ---------------------------------------------------------------------------------------------------------


def test_normal_rows_score_low_and_a_spike_high(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Above 1 is anomalous: normal rows are below, and a metric that leaves the others is above and to blame."""
    fresh[200:203, 2] += 10 * fresh[:, 2].std()
    scores = detector.score(_frame(fresh), first=16)
    normal = np.delete(scores.score, range(184, 200))
    assert (normal < 1).mean() > 0.99
    assert (scores.score[184:187] > 1).all()
    assert (scores.attribution[184:187].argmax(1) == 2).all()
    assert len(scores) == len(scores.times) == len(fresh) - 16
    assert scores.times[0] == START + 16 * STEP


@pytest.mark.parametrize("mode", ["stream", "batch"])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_larger_spike_never_lowers_the_score(
    detector: DiffusionDetector, fresh: np.ndarray, mode: str, sign: int
) -> None:
    """In either direction and over all magnitudes up to absurd ones, more deviation is more evidence."""
    peaks = []
    for size in (0.0, 3.0, 10.0, 30.0, 100.0, 1e3, 1e6, 1e12, 1e30):
        spiked = fresh.copy()
        spiked[100, 1] += sign * size * fresh[:, 1].std()
        peaks.append(detector.score(_frame(spiked), first=100, mode=mode).score[0])  # type: ignore[arg-type]
    assert np.isfinite(peaks).all()
    assert (np.diff(peaks) >= 0).all()
    assert peaks[0] < 1 < peaks[3]


def test_scoring_row_by_row_equals_scoring_at_once(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Live and in a backtest, the same rows get the same scores."""
    at_once = detector.score(_frame(fresh[:60]), first=20)
    for t in range(20, 60):
        one = detector.score(_frame(fresh[t - 15 : t + 1]), first=15)
        assert one.score[0] == pytest.approx(at_once.score[t - 20], rel=1e-4)
        assert one.attribution[0] == pytest.approx(at_once.attribution[t - 20], abs=1e-4)


def test_scoring_twice_gives_the_same(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Nothing is drawn anew: the same rows always have the same scores."""
    a, b = (detector.score(_frame(fresh), mode="batch") for _ in range(2))
    assert np.array_equal(a.score, b.score)


def test_attribution_is_a_distribution(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Shares are >= 0 and sum to 1, and to 0 where nothing was scored."""
    fresh[50] = np.nan
    scores = detector.score(_frame(fresh))
    assert (scores.attribution >= 0).all()
    totals = scores.attribution.sum(1)
    assert totals[50] == 0
    assert np.delete(totals, 50) == pytest.approx(1, abs=1e-5)


def test_order_of_series_does_not_matter(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A source may give the metrics in any order: scores are equal, attributions follow the frame's own order."""
    frame = _frame(fresh[:80])
    shuffled = frame.select(["m2", "m0", "m3", "m1"])
    plain, permuted = detector.score(frame), detector.score(shuffled)
    assert np.array_equal(plain.score, permuted.score)
    assert permuted.series == shuffled.series
    assert np.array_equal(permuted.attribution, plain.attribution[:, [2, 0, 3, 1]])


def test_alarm_rate_moves_the_scores(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Who allows more alarms gets higher scores from the same rows."""
    scores = [detector.score(_frame(fresh), alarms_per_week=rate).score for rate in (0.1, 1.0, 10.0)]
    assert (scores[0] < scores[1]).all()
    assert (scores[1] < scores[2]).all()


@pytest.mark.parametrize("mode", ["stream", "batch"])
@pytest.mark.parametrize("rows", [0, 1, 3, 10])
def test_frames_shorter_than_a_window_are_scored(
    detector: DiffusionDetector, fresh: np.ndarray, mode: str, rows: int
) -> None:
    """A group seen for a few rows only is scored on those; no rows give no scores."""
    scores = detector.score(_frame(fresh[:rows]), mode=mode)  # type: ignore[arg-type]
    assert len(scores) == rows
    assert scores.attribution.shape == (rows, 4)
    assert np.isfinite(scores.score).all()


@pytest.mark.parametrize("mode", ["stream", "batch"])
def test_scoring_may_begin_anywhere(detector: DiffusionDetector, fresh: np.ndarray, mode: str) -> None:
    """The last row alone, or none, can be asked for."""
    for first in (len(fresh) - 1, len(fresh)):
        scores = detector.score(_frame(fresh), first=first, mode=mode)  # type: ignore[arg-type]
        assert len(scores) == len(fresh) - first
        assert np.isfinite(scores.score).all()


# --- missing data ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 10, 40])
@pytest.mark.parametrize("metrics", [slice(1, 2), slice(None)])
def test_gaps_are_no_events(detector: DiffusionDetector, fresh: np.ndarray, rows: int, metrics: slice) -> None:
    """A gap of any length, in one metric or all, is scored through: no event is confirmed in it or after it."""
    fresh[100 : 100 + rows, metrics] = np.nan
    scores = detector.score(_frame(fresh), first=16)
    assert not _confirmed(scores)[70:].any()
    empty = np.isnan(fresh[16:]).all(1)
    assert np.array_equal(np.isnan(scores.score), empty)
    assert (scores.attribution[np.isnan(fresh[16:])] == 0).all()


def test_a_metric_that_vanished_is_no_event(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A metric missing throughout is no evidence; the others are scored without it."""
    fresh[:, 0] = np.nan
    scores = detector.score(_frame(fresh), first=16)
    assert not _confirmed(scores).any()
    assert np.isfinite(scores.score).all()


def test_empty_and_constant_metrics_do_not_dominate() -> None:
    """Metrics without any value or without change in the history neither break the fit nor drown the others."""
    values = _values(1000)
    values[:, 0] = np.nan
    values[:, 1] = 3.0
    detector = DiffusionDetector.fit(_frame(values[:800]), QUICK)
    rest = values[800:].copy()
    normal = detector.score(_frame(rest), first=16)
    assert np.isfinite(normal.score).all()
    assert (normal.score < 1).mean() > 0.98
    rest[50, 0] = 1e6  # a value where there never was one is not judged
    rest[100, 1] = 4.0  # a change of a constant is evidence, as bounded as ...
    rest[150, 1] = 1e9  # ... any other change of it
    scores = detector.score(_frame(rest), first=16)
    assert scores.score[34] == normal.score[34]
    assert scores.attribution[84].argmax() == 1
    assert normal.score[84] < scores.score[84]
    assert scores.score[134] < 3 * scores.score[84]


# --- errors ---------------------------------------------------------------------------------------------------------


def test_fewer_rows_than_a_window_cannot_be_fit(values: np.ndarray) -> None:
    """The error says how many rows there are, how many it takes, and what to do."""
    with pytest.raises(DataError, match="one window of 16 rows, but there are 15; give more history"):
        DiffusionDetector.fit(_frame(values[:15]), QUICK)


def test_history_without_values_cannot_be_fit() -> None:
    """A history of gaps only is refused, with what to check."""
    with pytest.raises(DataError, match="no value at all; check the queries"):
        DiffusionDetector.fit(_frame(np.full((100, 2), np.nan)), QUICK)


def test_other_metrics_are_named(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Metrics that are missing or new are named, with what to do."""
    other = Frame(START, STEP, fresh, tuple(Series(name) for name in ("m0", "m1", "m2", "disk")))
    with pytest.raises(SchemaMismatchError, match=r"missing: m3; new: disk.*fit again"):
        detector.score(other)
    with pytest.raises(SchemaMismatchError, match="missing: m3"):
        detector.expected(other, ["m0"])
    with pytest.raises(DataError, match="no series named m9"):
        detector.expected(_frame(fresh), ["m9"])


def test_another_step_is_refused(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """What a model learned of minutes does not hold for seconds."""
    slower = _frame(fresh, step=pd.Timedelta("30s"))
    with pytest.raises(SchemaMismatchError, match=r"30 s apart, but .* 60 s apart; fit again, or give both"):
        detector.score(slower)


# --- fitting --------------------------------------------------------------------------------------------------------


def test_fit_is_reproducible(values: np.ndarray) -> None:
    """Same history, same seed: same scores, to the bit, whatever the caller's own random state; not so another seed."""
    import torch

    scores = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(state)
        config = QUICK.model_copy(update={"seed": seed})
        scores.append(DiffusionDetector.fit(_frame(values[:400]), config).score(_frame(values[400:500])).score)
    assert np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_fit_reports_progress_and_keeps_to_its_budget(values: np.ndarray) -> None:
    """Each step is reported, and the budget ends training with a usable model."""
    seen: list[int] = []
    ticks = iter(range(0, 10_000, 100))
    detector = DiffusionDetector.fit(
        _frame(values[:400]), QUICK, progress=lambda done, total: seen.append(done), clock=lambda: float(next(ticks))
    )
    assert seen == [1, 2, 3, 4]  # 5 minutes by default, 100 s a step
    assert detector.card.steps == 4
    assert np.isfinite(detector.score(_frame(values[400:420])).score).all()


@pytest.mark.parametrize("rows", [16, 17, 60])
def test_short_history_is_enough_to_run(values: np.ndarray, rows: int) -> None:
    """One window is enough to fit and score, if not to judge well."""
    detector = DiffusionDetector.fit(_frame(values[:rows]), QUICK)
    assert np.isfinite(detector.score(_frame(values[rows : rows + 5])).score).all()


@pytest.mark.parametrize("metrics", [1, 200])
def test_one_metric_or_hundreds(metrics: int) -> None:
    """A group may have a single metric or hundreds: scores, modes and bands work alike."""
    values = _values(500, metrics)
    detector = DiffusionDetector.fit(_frame(values[:400]), QUICK)
    rest = values[400:]
    rest[50] += 50
    for mode in ("stream", "batch"):
        scores = detector.score(_frame(rest), first=16, mode=mode)  # type: ignore[arg-type]
        assert abs(scores.score.argmax() - 34) <= 2  # batch mode averages over neighbours
        assert scores.attribution.sum(1) == pytest.approx(1, abs=1e-4)
    expected = detector.expected(_frame(rest), ["m0"], first=40, last=60)
    assert expected.yhat.shape == (20, 1)
    assert (expected.yhat_lower <= expected.yhat_upper).all()


def test_the_smallest_window_works() -> None:
    """The least window the configuration allows runs through every plan."""
    detector = DiffusionDetector.fit(_frame(_values(200)), QUICK.model_copy(update={"window": 8}))
    for mode in ("stream", "batch"):
        assert np.isfinite(detector.score(_frame(_values(50)), mode=mode).score).all()  # type: ignore[arg-type]


# --- rules ----------------------------------------------------------------------------------------------------------


def _score_of(detector: DiffusionDetector, rows: np.ndarray, rule: Rule | None) -> float:
    rules = None if rule is None else {"m1": rule}
    return float(detector.score(_frame(rows), first=100, rules=rules).attribution[0, 1])


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
    plain = detector.score(_frame(fresh)).score
    ruled = detector.score(_frame(fresh), rules={"m0": Rule("above_expected"), "m2": Rule(min_dev=0.1)}).score
    assert (ruled <= plain).all()


def test_rules_hold_through_a_lasting_shift(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A shift larger than the least deviation is not excused from its second row on because the first was like it."""
    size = 8 * fresh[:, 1].std()
    fresh[100:104, 1] += size
    attribution = detector.score(_frame(fresh), first=100, rules={"m1": Rule(min_dev=0.3 * size)}).attribution
    assert (attribution[:2, 1] > 0).all()


# --- expected values ------------------------------------------------------------------------------------------------


def test_band_holds_most_normal_values(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Held-out normal values of each metric lie within its band about as often as the band says, which is narrow."""
    frame = _frame(fresh)
    for k in range(4):
        expected = detector.expected(frame, [f"m{k}"], first=20, last=180, read=8)
        y = fresh[20:180, [k]]
        inside = (y >= expected.yhat_lower) & (y <= expected.yhat_upper)
        assert inside.mean() > 0.85
        assert (expected.yhat_lower <= expected.yhat).all()
        assert (expected.yhat <= expected.yhat_upper).all()
        assert np.median(expected.yhat_upper - expected.yhat_lower) < 5 * y.std()


def test_expected_is_counterfactual(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """A spiked metric is expected where it would have been: its own values, now and before, have no say in it."""
    normal = detector.expected(_frame(fresh), ["m2"], first=100, last=120)
    spiked = fresh.copy()
    spiked[90:120, 2] += 1e6
    expected = detector.expected(_frame(spiked), ["m2"], first=100, last=120)
    assert np.array_equal(expected.yhat, normal.yhat)
    assert np.abs(expected.yhat[:, 0] - fresh[100:120, 2]).mean() < fresh[:, 2].std()
    assert np.array_equal(expected.yhat_upper, normal.yhat_upper)


def test_bands_widen_in_gaps(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """The less is given, the less is known: when the other metrics are missing the band is wider."""
    whole = detector.expected(_frame(fresh), ["m0"], first=100, last=132)
    fresh[60:132, 1:] = np.nan
    fresh[60:132, 0] = np.nan
    gap = detector.expected(_frame(fresh), ["m0"], first=100, last=132)
    assert (gap.yhat_upper - gap.yhat_lower).mean() > 1.2 * (whole.yhat_upper - whole.yhat_lower).mean()


def test_expected_columns_follow_the_names(detector: DiffusionDetector, fresh: np.ndarray) -> None:
    """Asked for several metrics, the columns and series come in the order asked for, rows as asked for."""
    frame = _frame(fresh)
    one = detector.expected(frame, ["m1", "m3"], first=30, last=40)
    other = detector.expected(frame.select(["m3", "m2", "m1", "m0"]), ["m3", "m1"], first=30, last=40)
    assert [series.name for series in other.series] == ["m3", "m1"]
    assert np.array_equal(other.yhat, one.yhat[:, ::-1])
    assert list(one.times) == list(frame.times[30:40])
    assert len(detector.expected(frame, ["m1"], first=len(frame), last=len(frame) + 5).times) == 0


def test_a_lone_metric_is_forecast() -> None:
    """With no other metric to go by, a metric is expected from its own past, which is better than knowing nothing."""
    wave = 5 + np.sin(np.arange(1000) / 4)[:, None]
    detector = DiffusionDetector.fit(_frame(wave[:800]), CONFIG)
    expected = detector.expected(_frame(wave[800:]), ["m0"], first=50, last=150, read=1)
    assert np.abs(expected.yhat - wave[850:950]).mean() < 0.5 * wave.std()


# --- on disk --------------------------------------------------------------------------------------------------------


@pytest.fixture
def stored(detector: DiffusionDetector, tmp_path: Path) -> Path:
    detector.save(tmp_path / "model")
    return tmp_path / "model"


def _weights(directory: Path) -> Path:
    (path,) = directory.glob("*.safetensors")
    return path


def test_loaded_model_scores_the_same(detector: DiffusionDetector, fresh: np.ndarray, stored: Path) -> None:
    """Saving and loading loses nothing: scores, bands and the card are identical."""
    loaded = DiffusionDetector.load(stored)
    frame = _frame(fresh)
    assert np.array_equal(loaded.score(frame).score, detector.score(frame).score)
    one, other = (d.expected(frame, ["m1"], first=50, last=60) for d in (loaded, detector))
    assert np.array_equal(one.yhat_upper, other.yhat_upper)
    assert loaded.card.metrics == detector.card.metrics
    assert loaded.config == detector.config


def test_saving_again_replaces(values: np.ndarray, stored: Path) -> None:
    """A newer fit replaces the older one and leaves no file of it."""
    newer = DiffusionDetector.fit(_frame(values[:400]), QUICK)
    newer.save(stored)
    assert sorted(path.suffix for path in stored.iterdir()) == [".json", ".safetensors"]
    assert DiffusionDetector.load(stored).card.steps == newer.card.steps


def test_crash_between_weights_and_card_keeps_the_old_model(
    detector: DiffusionDetector, values: np.ndarray, fresh: np.ndarray, stored: Path, tmp_path: Path
) -> None:
    """Weights written without their card, or half written, are not a model: the old one is still there and loads."""
    newer = tmp_path / "newer"
    DiffusionDetector.fit(_frame(values[:400]), QUICK).save(newer)
    (stored / _weights(newer).name).write_bytes(_weights(newer).read_bytes())
    (stored / ".card.json.123.tmp").write_text('{"half": ')
    loaded = DiffusionDetector.load(stored)
    assert np.array_equal(loaded.score(_frame(fresh)).score, detector.score(_frame(fresh)).score)


def test_no_model() -> None:
    """Where there is no model the error says so, and what to do."""
    with pytest.raises(ModelError, match="no model here; fit one first"):
        DiffusionDetector.load(Path("nowhere"))


def test_damaged_weights_are_refused(stored: Path) -> None:
    """Truncated, altered or missing weights are never used."""
    path = _weights(stored)
    data = path.read_bytes()
    for damaged in (data[:-100], b"", data[:500] + bytes([data[500] ^ 1]) + data[501:]):
        path.write_bytes(damaged)
        with pytest.raises(DamagedModelError, match=r"damaged.*fit again"):
            DiffusionDetector.load(stored)
    path.unlink()
    with pytest.raises(DamagedModelError, match=r"cannot be read.*fit again"):
        DiffusionDetector.load(stored)


def test_damaged_card_is_refused(stored: Path) -> None:
    """A card that is no JSON, lacks or garbles a field, or does not fit its weights is never used."""
    path = stored / "card.json"
    card = json.loads(path.read_text())
    missing = {key: value for key, value in card.items() if key != "metrics"}
    plan = {**card["plans"]["stream"], "surplus": 1}
    wrong = [
        path.read_text()[:-10],
        "[1]",
        json.dumps(missing),
        json.dumps({**card, "metrics": "m0"}),
        json.dumps({**card, "plans": {**card["plans"], "stream": plan}}),
        json.dumps({**card, "plans": {"batch": card["plans"]["batch"]}}),
        json.dumps({**card, "metrics": card["metrics"][:2]}),
    ]
    for text in wrong:
        path.write_text(text)
        with pytest.raises(ModelError, match="fit again"):
            DiffusionDetector.load(stored)


def test_card_of_another_version_is_refused(stored: Path) -> None:
    """A model of another version of the format is not guessed at."""
    path = stored / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 99}))
    with pytest.raises(CardVersionError, match="card schema version 99, but this version reads 2; fit again"):
        DiffusionDetector.load(stored)
