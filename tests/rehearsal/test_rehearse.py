"""The rehearsal of a monitor: what is found, what is not, and what is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.rehearsal.conftest import END, START, STEP, group, normal_frame
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import DataError, SourceError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.plugins import LabelledSpan, Reading, ReadRequest
from tsdiff_monitor.rehearsal import Options, Outcome, rehearse
from tsdiff_monitor.rehearsal.baseline_rows import survey
from tsdiff_monitor.testing import MemoryReader, example_event
from tsdiff_monitor.timeseries.frame import Frame

FEW = Options(per_kind=3, groups=1)


class PlainReader:
    """A source that does not know where its data lies."""

    def __init__(self, reader: MemoryReader) -> None:
        self._reader = reader

    def read(self, request: ReadRequest) -> Reading:
        return self._reader.read(request)


def run(pipeline: Any, tmp_path: Any, options: Options = FEW) -> tuple[Outcome, Any, Any]:
    return rehearse(pipeline, ModelStore(tmp_path / "models"), options, work=tmp_path, now=END)


def test_large_incidents_are_found(make_pipeline: Any, tmp_path: Any) -> None:
    """Another level, in the right metric, at once; what is missing is no verdict; who cannot be tried is named."""
    with make_pipeline() as pipeline:
        outcome, _, errors = run(pipeline, tmp_path)
    assert errors == []
    kinds = {one.kind: one for one in outcome.kinds()}
    shift = kinds["level_shift"]
    assert (shift.found, shift.incidents, shift.culprit_in_top3) == (3, 3, 3)
    assert shift.delay_rows is not None and shift.delay_rows <= 3
    assert kinds["missing"].found == 0
    assert [kind for kind in kinds if kind.startswith("generated")] == []
    assert {one.metric: one.incidents for one in outcome.metrics()}.keys() == {"cpu", "io", "net"}
    assert outcome.untried() == ["silent"]
    assert (outcome.known_groups, len(outcome.groups)) == (2, 1)


def test_a_metric_that_does_not_matter_is_unnoticed(make_pipeline: Any, tmp_path: Any) -> None:
    """One whose deviations a rule disregards is the one that would fail unnoticed; the others are noticed."""
    queries = {"rest": "[ci]*", "net": {"expr": "net", "min_dev_from_expected": 1e6}}
    with make_pipeline(queries=queries) as pipeline:
        outcome, _, _ = run(pipeline, tmp_path)
    assert outcome.unnoticed() == ["net"]
    assert outcome.metrics()[0].incidents == 3


def test_the_seed_decides(make_pipeline: Any, tmp_path: Any) -> None:
    """The same seed gives the same outcome, also of a group by itself; another seed gives another."""
    both, one = Options(per_kind=2, groups=2), Options(per_kind=2, groups=1)
    with make_pipeline() as pipeline:
        first, again = (run(pipeline, tmp_path, both)[0] for _ in range(2))
    assert first.to_json() == again.to_json()
    with make_pipeline() as pipeline:
        alone, other = run(pipeline, tmp_path, one)[0], run(pipeline, tmp_path, Options(2, seed=1, groups=1))[0]
    assert alone.groups[0] == first.groups[0]
    assert other.groups[0].mixed != alone.groups[0].mixed


def test_generated_incidents_come_from_the_model(make_pipeline: Any, tmp_path: Any) -> None:
    """With a diffusion model there are two kinds more; the daemon's model is used as it is, and no other is fit."""
    model = DiffusionModelConfig(window=16, width=16, layers=1, fit_steps=10, samples=8)
    with make_pipeline(model=model) as pipeline:
        assert pipeline.fit(END - 1200 * STEP, start=START).errors == []
        options = Options(per_kind=1, groups=1)
        outcome, _, errors = rehearse(pipeline, pipeline.models, options, work=tmp_path, now=END)
    assert errors == []
    assert {one.kind for one in outcome.kinds()} >= {"generated_elsewhere", "generated_pushed"}
    assert outcome.groups[0].model == "stored"
    assert not (tmp_path / "models").exists()


def test_known_incidents_are_left_out(make_pipeline: Any) -> None:
    """Rows of events in the state, of labels and of the calendar hold no incident of ours, and older rows step in."""
    label = LabelledSpan(group("a"), END - 400 * STEP, END - 300 * STEP)
    event = example_event(id="e1", monitor="hosts", group=group("a"), start=END - 200 * STEP, end=END - 150 * STEP)
    reader = MemoryReader({group("a"): normal_frame(0)}, incidents=(label,))
    calendar = {"night": {"cron": "0 15 * * *", "lasts": "10m"}}
    with make_pipeline(reader, calendar=calendar) as pipeline:
        pipeline.store.commit("hosts", group("a"), event.last, {}, [EventChange(Change.resolved, event, 1)], ())
        (history,) = survey(pipeline, 5, None, END).histories
    seen = pd.Series(history.frame.observed.any(1), history.frame.times)
    for start, end in ((label.start, label.end), (event.start, event.end)):
        assert not seen[(seen.index >= start) & (seen.index < end)].any()
    fourth = pd.Timestamp("2024-05-02T15:00:00Z")
    assert not seen.get(fourth, False)
    assert history.start == START + 1200 * STEP
    assert history.fit_span == (START, START + 1200 * STEP)


def test_without_extents_half_is_left_to_fit_on(make_pipeline: Any, tmp_path: Any) -> None:
    """Of a source that knows nothing of itself, the newest half; the fit ends where the history begins."""
    reader = PlainReader(MemoryReader({group("a"): normal_frame(0)}))
    with make_pipeline(reader) as pipeline:
        (history,) = survey(pipeline, 5, None, END).histories
        outcome, _, errors = run(pipeline, tmp_path)
    assert history.start == history.fit_span[1] == START + 1200 * STEP
    assert errors == []
    assert outcome.groups[0].model == "fit for this"


def test_events_that_are_there_anyway_are_left_out(make_pipeline: Any, tmp_path: Any) -> None:
    """A bump in the history is an event without any incident of ours: counted, and its rows are not used."""
    frame = normal_frame(0)
    values = frame.values.copy()
    values[2000:2030, 0] += 30
    reader = MemoryReader({group("a"): Frame(START, STEP, values, frame.series)})
    with make_pipeline(reader) as pipeline:
        outcome, _, _ = run(pipeline, tmp_path)
    (found,) = outcome.groups
    assert found.events_without >= 1
    assert found.rows <= 1200 - 30


@pytest.mark.parametrize(
    ("rows", "said"),
    [(300, "150 normal rows to put incidents into, but at least"), (20, "needs at least 32 rows, but there are 10")],
)
def test_too_little_history(make_pipeline: Any, tmp_path: Any, rows: int, said: str) -> None:
    """A group with too few rows is named, with what would do; there is no outcome of it."""
    with make_pipeline(MemoryReader({group("a"): normal_frame(0).rows(2400 - rows, 2400)})) as pipeline:
        outcome, _, errors = run(pipeline, tmp_path)
    assert outcome.groups == ()
    ((where, error),) = errors
    assert where == "host=a"
    assert said in str(error)


def test_nothing_at_all(make_pipeline: Any, tmp_path: Any) -> None:
    """A source without data says so; one that fails is no outcome."""
    with make_pipeline() as pipeline, pytest.raises(DataError, match="the source has no data from"):
        run(pipeline, tmp_path, Options(end=START - 10 * STEP))
    broken = MemoryReader({group("a"): normal_frame(0)}, failures=[SourceError("it is down", reason="connect")])
    with make_pipeline(broken) as pipeline, pytest.raises(SourceError, match="down"):
        run(pipeline, tmp_path)


def test_nothing_is_sent_or_written(make_pipeline: Any, tmp_path: Any) -> None:
    """However many events there are, the monitor's own state and its outbox stay as they were."""
    with make_pipeline(notify=["pager"], write=["back"]) as pipeline:
        run(pipeline, tmp_path)
        assert pipeline.store.counts() == {"pending": 0, "delivered": 0, "dead": 0}
        assert pipeline.store.events() == []
        assert np.isnan(pipeline.store.watched_since("hosts") or np.nan)
