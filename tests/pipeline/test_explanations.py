"""Which few metrics explain an event: right, the same however the rows came in, and within bounds of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.events.event import Change, Culprit, Event, EventChange
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.pipeline.explanations import TimeBudget, explained, explanation
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.scoring.culprits import most_sets
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.testing import FakeClock, MemoryReader, example_event
from tsdiff_monitor.timeseries.frame import Frame, Group, Series
from tsdiff_monitor.timeseries.scores import Expected, Scores

START, STEP = pd.Timestamp("2024-05-01T00:00:00Z"), pd.Timedelta("1min")
NAMES = ("cpu", "gc", "memory", "disk", "net", "users")
MakePipeline = Callable[..., Pipeline]


@dataclass
class Plain:
    """A detector of metrics that should be 0. A row's score is the mean over two rows of the sum of the values.

    ``costs`` is called for each score and each expectation.
    """

    costs: Callable[[], object] = lambda: None
    names: tuple[str, ...] = NAMES
    window: int = 8
    step_seconds: float = 60.0
    asked: list[tuple[str, ...]] = field(default_factory=list)
    scored: int = 0

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Rows before the frame count as 0."""
        del mode, alarms_per_week, rules
        self.costs()
        self.scored += 1
        size = np.nan_to_num(np.abs(frame.values.astype(float)))
        total = size.sum(1)
        score = (total + np.concatenate([[0.0], total[:-1]])) / 2
        return Scores(frame.times[first:], frame.series, score[first:], size[first:])

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        """Zero, give or take one."""
        del read
        self.costs()
        self.asked.append(tuple(names))
        zero = np.zeros((len(frame.times[first:last]), len(names)))
        return Expected(frame.times[first:last], frame.select(names).series, zero, zero - 1, zero + 1)

    def save(self, directory: Path) -> None:
        """Nothing to keep."""


def _frame(**values: float) -> Frame:
    """Twenty rows of 0, but for the ``values`` from row 15 on."""
    rows = np.zeros((20, len(NAMES)), np.float32)
    for name, value in values.items():
        rows[15:, NAMES.index(name)] = value
    return Frame(START, STEP, rows, tuple(Series(name) for name in NAMES))


def _event(frame: Frame, **changes: Any) -> Event:
    """An event from row 15 on, with its peak in row 17, and the metrics that are not 0 to blame."""
    size = dict(zip(NAMES, frame.values[17].tolist(), strict=True))
    blamed = sorted((name for name in NAMES if size[name]), key=lambda name: (-size[name], name))
    total = sum(size.values()) or 1.0
    rows = {"start": 15, "confirmed": 16, "peak_time": 17, "last": 17}
    return example_event(
        peak=total,
        culprits=tuple(Culprit(name, size[name] / total, size[name], 0.0, -1.0, 1.0) for name in blamed),
        **{name: START + STEP * row for name, row in rows.items()},
        **changes,
    )


def _explained(frame: Frame, detector: Plain | None = None, **changes: Any) -> Explanation | None:
    detector = detector or Plain()
    return explanation(detector, frame, _event(frame, **changes), detector.score, deadline=1.0, clock=lambda: 0.0)


@pytest.mark.parametrize(
    ("values", "metrics", "after"),
    [
        ({"cpu": 4.0, "gc": 0.5}, ("cpu",), 0.5),
        ({"memory": 2.0, "gc": 1.5, "cpu": 0.75}, ("memory", "gc"), 0.75),
        ({"memory": 2.0, "gc": 2.0, "cpu": 2.0, "net": 0.25}, ("cpu", "gc", "memory"), 0.25),
        ({"cpu": 2.0, "gc": 0.75, "memory": 0.5}, None, None),
    ],
)
def test_the_smallest_set_is_found(
    values: dict[str, float], metrics: tuple[str, ...] | None, after: float | None
) -> None:
    """The fewest culprits without which the peak would be no alarm, and the scores without and with them replaced."""
    found = _explained(_frame(**values))
    if metrics is None:
        metrics, after = ("cpu", "gc"), 0.5
    assert after is not None
    assert found == Explanation(metrics, sum(values.values()), after)


def test_more_than_three_are_no_explanation() -> None:
    """If four metrics are to blame alike, no set is given."""
    assert _explained(_frame(cpu=2.0, gc=2.0, memory=2.0, net=2.0)) is None


def test_without_culprits_nothing_is_asked() -> None:
    """An event of a sparse or an absent group, and culprits that are not in the data, cost nothing."""
    detector = Plain()
    assert _explained(_frame(), detector) is None
    stranger = (Culprit("stranger", 1.0, 1.0, 0.0, None, None),)
    event = _event(_frame(cpu=4.0))
    gone = Event(**{**event.__dict__, "culprits": stranger})
    assert explanation(detector, _frame(cpu=4.0), gone, detector.score, deadline=1.0, clock=lambda: 0.0) is None
    assert (detector.scored, detector.asked) == (0, [])


def test_scores_count_as_the_event_counts_them() -> None:
    """After a drift, an event's scores are lower than the detector's, and so is the one with the set replaced."""
    frame = _frame(cpu=8.0, gc=1.5)
    event = Event(**{**_event(frame).__dict__, "peak": 9.5 / 2})
    detector = Plain()
    found = explanation(detector, frame, event, detector.score, deadline=1.0, clock=lambda: 0.0)
    assert found == Explanation(("cpu",), 4.75, 0.75)


def test_a_peak_too_far_back_is_not_explained() -> None:
    """If not even half a window before the peak is sure to be at hand, there is no answer."""
    frame = _frame(cpu=4.0)
    assert _explained(frame, None) is not None
    detector = Plain()
    for last, known in ((19, True), (21, True), (22, False)):
        event = Event(**{**_event(frame).__dict__, "last": START + STEP * last})
        found = explanation(detector, frame, event, detector.score, deadline=1.0, clock=lambda: 0.0)
        assert (found is not None) == known


@pytest.mark.parametrize("first", [0, 5, 9])
def test_rows_further_back_change_nothing(first: int) -> None:
    """The answer rests on the window before the event's newest row, no matter what else is at hand."""
    frame = _frame(cpu=4.0, gc=0.5)
    values = frame.values.copy()
    values[:9] = 99.0
    noisy = Frame(frame.start, frame.step, values, frame.series)
    detector = Plain()
    event = _event(frame)
    assert explanation(
        detector, noisy.rows(first, 20), event, detector.score, deadline=1.0, clock=lambda: 0.0
    ) == Explanation(("cpu",), 4.5, 0.5)


def test_time_runs_out() -> None:
    """A deadline ends the search before it passes, with no explanation rather than one that is not the smallest."""
    frame = _frame(memory=2.0, gc=1.5, cpu=0.75)
    taken = {}
    for seconds in range(20):
        clock = FakeClock()
        detector = Plain(costs=lambda clock=clock: clock.advance(1.0))  # type: ignore[misc]
        start = clock()
        found = explanation(detector, frame, _event(frame), detector.score, deadline=start + seconds, clock=clock)
        assert clock() - start <= seconds
        taken[seconds] = found
    full = Explanation(("memory", "gc"), 4.25, 0.75)
    needed = min(seconds for seconds, found in taken.items() if found is not None)
    assert needed == 7  # the peak as it was, what was expected, all three, three single ones, the first pair
    assert all(found == (full if seconds >= needed else None) for seconds, found in taken.items())


def test_evaluations_are_bounded() -> None:
    """However many culprits an event has, the detector is asked a bounded number of times."""
    detector = Plain()
    _explained(_frame(**dict.fromkeys(NAMES[:4], 1.2), net=0.9), detector)
    assert len(detector.asked) == 1
    assert detector.scored <= 1 + most_sets(5, 3)


def _changes(event: Event, count: int = 1) -> list[EventChange]:
    kinds = [Change.opened, *[Change.updated] * (count - 1)]
    return [EventChange(change, event, number) for number, change in enumerate(kinds, start=1)]


def test_a_storm_has_a_budget() -> None:
    """A hundred events at one moment take no longer than a tick's budget; time spent elsewhere is not of it."""
    clock = FakeClock(0.0)
    detector = Plain(costs=lambda: clock.advance(0.125))
    frame = _frame(cpu=4.0, gc=0.5)
    budget = TimeBudget(clock, change=1.0, tick=3.0)
    spent, found = 0.0, []
    for number in range(100):
        clock.advance(60.0)
        before = clock()
        event = Event(**{**_event(frame).__dict__, "id": f"{number}"})
        changes = explained(detector, frame, _changes(event), detector.score, earlier=lambda _: None, budget=budget)
        spent += clock() - before
        found += [change.event.explanation for change in changes]
    assert spent == 3.0
    assert found == [Explanation(("cpu",), 4.5, 0.5)] * 6 + [None] * 94


def test_the_same_peak_is_explained_once() -> None:
    """A change with the peak of the one before keeps its explanation, and one with another peak has its own."""
    detector, budget = Plain(), TimeBudget(lambda: 0.0)
    frame = _frame(cpu=4.0, gc=0.5)
    event = _event(frame)
    given = Explanation(("gc",), event.peak, 0.1)
    stored = Event(**{**event.__dict__, "explanation": given})
    updated = [EventChange(Change.updated, event, 2)]
    kept = explained(detector, frame, updated, detector.score, earlier=lambda _: stored, budget=budget)
    assert kept[0].event.explanation == given
    assert detector.scored == 0
    other = Event(**{**stored.__dict__, "peak": 3.0, "peak_time": START})
    fresh = explained(detector, frame, updated, detector.score, earlier=lambda _: other, budget=budget)
    assert fresh[0].event.explanation == Explanation(("cpu",), 4.5, 0.5)
    asked = detector.scored
    twice = explained(detector, frame, _changes(event, 2), detector.score, earlier=lambda _: None, budget=budget)
    assert [change.event.explanation for change in twice] == [Explanation(("cpu",), 4.5, 0.5)] * 2
    assert detector.scored == 2 * asked  # once for two changes


def test_the_same_for_any_chunks(
    make_pipeline: MakePipeline, frames: dict[Group, Frame], history_end: pd.Timestamp, end: pd.Timestamp
) -> None:
    """Rows that come one by one, a few at a time or all at once give events the same explanations, stored with them."""
    group, frame = next(iter(frames.items()))
    reader = MemoryReader({group: frame})
    runs = []
    for chunk in (1, 7, 150):
        pipeline = make_pipeline(reader, monitor={"notify": []})
        changes = []
        now = history_end
        while now < end:
            now = min(now + frame.step * chunk, end)
            changes += pipeline.tick(now, since=history_end, clock=lambda: 0.0).changes
        runs.append([(change.key, change.event.explanation) for change in changes])
        stored = {event.id: event.explanation for event in pipeline.store.events()}
        assert {change.event.id: change.event.explanation for change in changes} == stored
    assert _comparable(runs[0]) == _comparable(runs[1]) == _comparable(runs[2])
    assert any(found is not None for _, found in runs[0])


def _comparable(run: Sequence[tuple[str, Explanation | None]]) -> list[tuple[object, ...]]:
    """To four digits: windows that are worked out together round in another way than those worked out one by one."""
    return [(key, found and (found.metrics, f"{found.before:.4g}", f"{found.after:.4g}")) for key, found in run]


def test_a_failure_does_not_lose_the_event(
    make_pipeline: MakePipeline,
    frames: dict[Group, Frame],
    history_end: pd.Timestamp,
    end: pd.Timestamp,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change is stored without an explanation, and the failure reported."""

    def fails(*_: object, **__: object) -> None:
        raise ValueError("no memory for another world")

    monkeypatch.setattr("tsdiff_monitor.pipeline.explanations.explanation", fails)
    group, frame = next(iter(frames.items()))
    pipeline = make_pipeline(MemoryReader({group: frame}), monitor={"notify": []})
    result = pipeline.tick(end, since=history_end)
    assert result.changes
    assert [where for where, _ in result.errors] == ["explanation"]


@pytest.fixture(scope="module")
def waves() -> np.ndarray:
    """Six metrics driven by three shared waves, with a little noise."""
    rng = np.random.default_rng(0)
    t = np.arange(2100)
    shared = np.stack([np.sin(t / 6), np.cos(t / 15), np.sin(t / 4)], 1)
    return np.asarray(10 + shared @ rng.normal(size=(3, 6)) + 0.1 * rng.normal(size=(len(t), 6)))


def _waves(values: np.ndarray) -> Frame:
    return Frame(START, STEP, np.asarray(values, np.float32), tuple(Series(name) for name in NAMES))


@pytest.fixture(scope="module")
def diffusion(waves: np.ndarray) -> DiffusionDetector:
    config = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=250, samples=8)
    return DiffusionDetector.fit(_waves(waves[:2000]), config)


@pytest.mark.parametrize("broken", [1, 4])
def test_one_broken_metric_alone_explains_it(diffusion: DiffusionDetector, waves: np.ndarray, broken: int) -> None:
    """With a fitted network too, a metric that leaves the others is named alone, no matter what else is suspected."""
    values = waves[2000:2060].copy()
    values[50:53, broken] += 8 * waves[:, broken].std()
    frame = _waves(values)
    scores = diffusion.score(frame)
    peak = 50 + int(np.argmax(scores.score[50:53]))
    order = np.argsort(-scores.attribution[peak])[:3]
    event = example_event(
        start=frame.times[50],
        peak_time=frame.times[peak],
        last=frame.times[53],
        peak=float(scores.score[peak]),
        culprits=tuple(Culprit(NAMES[k], 0.3, None, None, None, None) for k in order),
    )
    found = explanation(diffusion, frame, event, diffusion.score, deadline=1.0, clock=lambda: 0.0)
    assert found is not None
    assert found.metrics == (NAMES[broken],)
    assert found.after <= 1 < found.before
