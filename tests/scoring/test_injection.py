"""Injected incidents: what is promised is changed, nothing else, and the labels know it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.injection import JUDGES, KINDS, AnomalyMix, Injected, generated_kinds, inject
from tsdiff_monitor.injection.model import conditional_sampler
from tsdiff_monitor.scoring.scaling import Scaler


def rows(T: int, K: int, *, seed: int = 0, gaps: bool = True) -> np.ndarray:
    """Metrics of two families with a common course each, in units of 1 to 10^4; some gaps, a still and an empty one."""
    rng = np.random.default_rng(seed)
    course = np.cumsum(rng.standard_normal((T, 2)), axis=0) / 3
    values = course[:, np.arange(K) % 2] + 0.3 * rng.standard_normal((T, K))
    values = ((values - values.min(0)) * 10.0 ** (np.arange(K) % 5)).astype(np.float32)
    if gaps:
        values[rng.random((T, K)) < 0.02] = np.nan
        values[T // 3 : T // 3 + 5] = np.nan
    if K > 2:
        values[:, 1] = 7.0
        values[:, 2] = np.nan
    return np.asarray(values)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return np.asarray((before != after) & ~(np.isnan(before) & np.isnan(after)))


def check(before: np.ndarray, result: Injected) -> None:
    """Check what holds for every injection."""
    assert result.values.dtype == before.dtype
    assert np.array_equal(result.cells, changed(before, result.values))
    labels = np.zeros(len(before), dtype=bool)
    for incident in result.incidents:
        cells = result.cells[incident.start : incident.end]
        assert tuple(np.flatnonzero(cells.any(0)).tolist()) == incident.metrics
        assert cells[0].any()
        assert cells[-1].any()
        assert not labels[max(incident.start - 1, 0) : incident.end].any()  # a normal row lies in between
        labels[incident.start : incident.end] = True
    assert np.array_equal(result.labels, labels)
    assert not result.cells[~labels].any()
    assert not np.isinf(result.values).any()
    was_missing = np.isnan(before)
    assert np.isnan(result.values[was_missing]).all()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([(64, 1), (64, 38), (300, 2), (500, 223)]), st.floats(0, 0.5), st.integers(0, 10_000), st.booleans()
)
def test_labels_and_cells_say_exactly_what_was_changed(
    shape: tuple[int, int], share: float, seed: int, gaps: bool
) -> None:
    """One metric or 223, with gaps, still and empty metrics: cells are the changes, within labels; gaps stay."""
    before = rows(*shape, seed=seed, gaps=gaps)
    kept = before.copy()
    result = inject(before, share=share, generator=np.random.default_rng(seed), kinds=KINDS)
    check(before, result)
    assert np.array_equal(before, kept, equal_nan=True)
    assert result.labels.mean() <= share


@pytest.mark.parametrize("share", [0.02, 0.05, 0.1, 0.3])
def test_the_share_asked_for_is_nearly_reached(share: float) -> None:
    """The labelled rows are at most the share, and in rows that can be changed visibly not much fewer."""
    before = rows(6000, 12)
    result = inject(before, share=share, generator=np.random.default_rng(1))
    assert 0.7 * share <= result.labels.mean() <= share


@pytest.mark.parametrize("count", [0, 1, 5, 1000])
def test_as_many_incidents_as_asked_for_as_long_as_half_of_the_rows_stay_normal(count: int) -> None:
    """A number of incidents is kept where there is room; never more, and never more than half of the rows."""
    result = inject(rows(2000, 6, gaps=False)[:, 3:], incidents=count, generator=np.random.default_rng(2))
    assert len(result.incidents) == count if count < 10 else 10 < len(result.incidents) <= count
    assert result.labels.mean() <= 0.5


def test_every_kind_takes_its_turn() -> None:
    """If all of them can be seen, each kind appears as often as the others."""
    before = np.random.default_rng(0).standard_normal((5000, 4))
    result = inject(
        before, incidents=2 * len(KINDS), kinds=KINDS, generator=np.random.default_rng(3),
        mix=AnomalyMix(rows=(10, 100), magnitude=(5, 10)),
    )  # fmt: skip
    assert sorted(incident.kind for incident in result.incidents) == sorted([*KINDS] * 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_alone_is_possible(kind: str) -> None:
    """Each kind by itself changes moving metrics, also one alone in 64 rows."""
    for before in (rows(64, 1, gaps=False), rows(800, 5)):
        result = inject(
            before, incidents=1, kinds={kind: KINDS[kind]}, generator=np.random.default_rng(4), mix=AnomalyMix((16, 32))
        )
        check(before, result)
        assert [incident.kind for incident in result.incidents] == [kind]


def test_the_same_generator_gives_the_same_incidents() -> None:
    """Everything random comes from the generator."""
    first, second, other = (
        inject(rows(1000, 10), share=0.2, generator=np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first.values, second.values, equal_nan=True)
    assert first.incidents == second.incidents
    assert first.incidents != other.incidents


@pytest.mark.parametrize("kind", ["correlation", "frozen", "dropped"])
def test_context_kinds_write_only_values_the_metric_had(kind: str) -> None:
    """A broken correlation, a frozen and a dropped metric are invisible to anyone who looks at the metric's values."""
    before = rows(600, 6)
    result = inject(before, share=0.4, kinds={kind: KINDS[kind]}, generator=np.random.default_rng(7))
    assert result.incidents
    for k in range(6):
        assert set(result.values[result.cells[:, k], k].tolist()) <= set(before[:, k].tolist())


def test_a_broken_correlation_is_the_metrics_own_course_at_another_time() -> None:
    """The rows written are consecutive rows of the metric, none of them the incident's own: only the time is wrong."""
    before = np.arange(1000.0, dtype=np.float32)[:, None]
    result = inject(
        before, incidents=1, kinds={"correlation": KINDS["correlation"]}, generator=np.random.default_rng(8),
        mix=AnomalyMix(rows=(100, 100)),
    )  # fmt: skip
    incident = result.incidents[0]
    source = result.values[incident.start : incident.end, 0]
    assert set(np.diff(source) % 1000) == {1.0}
    assert not set(source.tolist()) & set(range(incident.start, incident.end))
    # Another order of all values, not other values: each is there once more, in place of one that is gone.
    assert len(set(source.tolist())) == 100


def test_magnitudes_are_in_spreads_of_the_metric_in_any_unit() -> None:
    """The same rows in other units have the same incidents, of the same magnitudes."""
    before = rows(1500, 5, gaps=False)[:, 3:].astype(np.float64)
    kinds = {"level_shift": KINDS["level_shift"]}
    mix = AnomalyMix(rows=(20, 40), magnitude=(3, 3))
    plain, scaled = (
        inject(before * unit, incidents=4, kinds=kinds, mix=mix, generator=np.random.default_rng(9))
        for unit in (1.0, np.array([1e-3, 1e6]))
    )
    assert [(i.start, i.end, i.metrics) for i in plain.incidents] == [
        (i.start, i.end, i.metrics) for i in scaled.incidents
    ]
    assert [i.magnitude for i in plain.incidents + scaled.incidents] == pytest.approx([3.0] * 8, rel=1e-6)


def test_durations_breadth_and_gaps_are_those_of_the_mix() -> None:
    """Incidents are as long, as broad and as far apart as the mix says."""
    before = rows(4000, 20, gaps=False)[:, 3:]
    result = inject(
        before, share=0.3, kinds={"noise": KINDS["noise"]}, generator=np.random.default_rng(10),
        mix=AnomalyMix(rows=(10, 20), breadth=(0.5, 0.5), gap=30),
    )  # fmt: skip
    assert len(result.incidents) > 30
    lengths = [i.end - i.start for i in result.incidents]
    assert min(lengths[:-1]) >= 9  # an incident may lose a row that by chance stays as it was
    assert max(lengths) <= 20
    assert {len(i.metrics) for i in result.incidents} <= {9, 10}
    starts = np.array([i.start for i in result.incidents])
    ends = np.array([i.end for i in result.incidents])
    assert (starts[1:] - ends[:-1] >= 30).all()


def test_correlated_metrics_are_hit_together() -> None:
    """An incident of several metrics stays within a family that moves together, where the family is large enough."""
    before = rows(3000, 20, gaps=False)
    mix = AnomalyMix(rows=(10, 40), breadth=(0.2, 0.2))
    result = inject(before, incidents=20, kinds={"noise": KINDS["noise"]}, generator=np.random.default_rng(11), mix=mix)
    families = [{k % 2 for k in i.metrics if k > 2} for i in result.incidents]
    assert np.mean([len(family) <= 1 for family in families]) > 0.8


def test_no_metric_falls_below_where_it_has_ever_been() -> None:
    """Shares and counts have a floor; a shift through it would be too easy a test."""
    before = rows(1000, 4, gaps=False)[:, [0, 3]]
    kinds = {name: KINDS[name] for name in ("spike", "level_shift", "drift")}
    result = inject(before, share=0.4, kinds=kinds, generator=np.random.default_rng(12))
    assert (result.values.min(0) >= before.min(0)).all()
    assert any((result.values < before)[i.start : i.end].any() for i in result.incidents)


def test_where_a_kind_cannot_show_another_takes_its_place() -> None:
    """The number and the share asked for are kept in metrics that some kinds cannot change."""
    still = np.full((1000, 2), 5.0, np.float32)
    kinds = {name: KINDS[name] for name in ("frozen", "dropped", "level_shift")}
    result = inject(still, incidents=12, kinds=kinds, generator=np.random.default_rng(0), mix=AnomalyMix(rows=(2, 50)))
    assert [incident.kind for incident in result.incidents] == ["level_shift"] * 12


def test_a_still_metric_can_jump_but_not_freeze() -> None:
    """A constant metric may be made to change; where a kind cannot show there is no incident and no label."""
    still = np.full((300, 1), 5.0, np.float32)
    jumped = inject(still, incidents=2, kinds={"level_shift": KINDS["level_shift"]}, generator=np.random.default_rng(0))
    assert len(jumped.incidents) == 2
    for kind in ("frozen", "correlation", "period", "variance", "dropped"):
        result = inject(still, incidents=2, kinds={kind: KINDS[kind]}, generator=np.random.default_rng(0))
        assert not result.incidents
        assert not result.labels.any()
        assert np.array_equal(result.values, still)


@pytest.mark.parametrize("shape", [(0, 3), (5, 2), (40, 3), (64, 0)])
def test_rows_without_room_or_values_stay_as_they_are(shape: tuple[int, int]) -> None:
    """Nothing is injected into nothing."""
    empty = np.full(shape, np.nan, np.float32)
    result = inject(empty, share=0.2, generator=np.random.default_rng(0))
    assert not result.incidents
    assert not result.labels.any()
    assert np.isnan(result.values).all()


def test_the_injector_needs_no_torch() -> None:
    """Injecting is possible where torch is not installed."""
    code = "import sys, tsdiff_monitor.injection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_missing_is_a_kind_but_no_judge_of_scores() -> None:
    """Absent data is no evidence for a score, so scores are not judged by it; it can still be asked for."""
    assert set(KINDS) - set(JUDGES) == {"missing"}
    before = rows(500, 4, gaps=False)
    result = inject(before, incidents=2, kinds={"missing": KINDS["missing"]}, generator=np.random.default_rng(1))
    assert np.isnan(result.values[result.cells]).all()
    assert {incident.magnitude for incident in result.incidents} == {0.0}


def test_wrong_requests_are_refused() -> None:
    """A request that makes no sense is an error that says why."""
    rng = np.random.default_rng(0)
    with pytest.raises(DataError, match=r"\[T, K\]"):
        inject(np.zeros(5), share=0.1, generator=rng)
    with pytest.raises(ValueError, match="either"):
        inject(np.zeros((50, 2)), generator=rng)
    with pytest.raises(ValueError, match=r"share from 0 to 0\.5"):
        inject(np.zeros((50, 2)), share=0.9, generator=rng)
    with pytest.raises(ValueError, match="rows"):
        AnomalyMix(rows=(0, 5))
    with pytest.raises(ValueError, match="magnitude"):
        AnomalyMix(magnitude=(3, 1))
    with pytest.raises(ValueError, match="breadth"):
        AnomalyMix(breadth=(0, 2))
    with pytest.raises(ValueError, match="gap"):
        AnomalyMix(gap=0)


class Neighbours:
    """A stand-in for a model: a hidden metric is what the mean of the given ones is, plus some noise."""

    def __init__(self) -> None:
        self.asked: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, windows: np.ndarray, hidden: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """Draw windows ``[B, L, K]``."""
        self.asked.append((windows, hidden))
        given_values = np.where(hidden | np.isnan(windows), 0.0, windows)
        count = np.maximum((~(hidden | np.isnan(windows))).sum(-1, keepdims=True), 1)
        drawn = given_values.sum(-1, keepdims=True) / count + 0.01 * generator.standard_normal(windows.shape)
        return np.where(hidden, drawn, windows)


@pytest.mark.parametrize("kind", ["generated_elsewhere", "generated_pushed"])
def test_generated_incidents_look_usual_alone_but_not_beside_the_others(kind: str) -> None:
    """Conditional samples off the manifold: values near those the metric had, the relation to the others broken."""
    T = 1200
    course = 5 * np.sin(np.arange(T) / 30)[:, None]
    before = course + 0.05 * np.random.default_rng(0).standard_normal((T, 4))
    model = Neighbours()
    mix = AnomalyMix(rows=(20, 150), magnitude=(1, 2), breadth=(0, 0))
    kinds = {kind: generated_kinds(model, 64)[kind]}
    result = inject(before, incidents=4, kinds=kinds, generator=np.random.default_rng(13), mix=mix)
    check(before, result)
    assert {incident.kind for incident in result.incidents} == {kind}
    for incident in result.incidents:
        (k,) = incident.metrics
        span = slice(incident.start, incident.end)
        assert np.abs(result.values[span, k] - course[span, 0]).mean() > 0.5
        if kind == "generated_elsewhere":
            assert np.abs(result.values[span, k]).max() < 6
        else:
            assert 0.5 <= incident.magnitude <= 2.5
    for windows, hidden in model.asked:
        assert windows.shape[1:] == hidden.shape == (64, 4)
        assert 0 < hidden.any(1).sum() <= 32  # the model is given what was before and after


def test_generated_incidents_reach_the_ends_of_short_rows() -> None:
    """Beyond the ends there is nothing to give: the model sees gaps there."""
    before = rows(64, 3, gaps=False)[:, :1]
    model = Neighbours()
    result = inject(
        before,
        incidents=1,
        kinds=generated_kinds(model, 64),
        generator=np.random.default_rng(14),
        mix=AnomalyMix((16, 32)),
    )
    check(before, result)
    assert np.isnan(model.asked[0][0]).any()


@pytest.mark.parametrize("kind", ["generated_elsewhere", "generated_pushed"])
def test_an_imputer_generates_incidents_in_the_metrics_own_units(kind: str, gaussian_pair: Imputer) -> None:
    """With the optimal denoiser of two metrics, each one by itself stays usual and their relation is broken."""
    gaussian = np.random.default_rng(15).multivariate_normal(np.zeros(2), [[1.0, 0.8], [0.8, 1.0]], 2000)
    before = gaussian * [1e-3, 1e4] + [1.0, 5e5]
    scaler = Scaler.fit(before)
    sample = conditional_sampler(gaussian_pair, scaler, steps=12)
    result = inject(
        before, incidents=4, kinds={kind: generated_kinds(sample, 32)[kind]}, generator=np.random.default_rng(16),
        mix=AnomalyMix(rows=(100, 200), magnitude=(1.0, 1.0), breadth=(0, 0)),
    )  # fmt: skip
    check(before, result)
    normal, wrong = (scaler.transform(result.values[rows]) for rows in (~result.labels, result.labels))
    assert np.corrcoef(normal.T)[0, 1] > 0.75
    if kind == "generated_elsewhere":
        assert abs(np.corrcoef(wrong.T)[0, 1]) < 0.2
        assert wrong.std(0) == pytest.approx([1.0, 1.0], abs=0.1)
    else:
        assert np.abs(wrong[:, 0] - wrong[:, 1]).mean() > 2 * np.abs(normal[:, 0] - normal[:, 1]).mean()
        assert (wrong.std(0) < 2).all()
