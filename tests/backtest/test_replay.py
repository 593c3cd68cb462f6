"""History through the production path."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.app.build import Assembly, assemble
from tsdiff_monitor.backtest.replay import Spans, replay
from tsdiff_monitor.backtest.report.replay import Replay
from tsdiff_monitor.backtest.report.write import FILES, write_report
from tsdiff_monitor.config.dry_run import dry_run
from tsdiff_monitor.config.loader import load_config
from tsdiff_monitor.errors import DataError, StoreError, TsdiffError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Extent, Reading, ReadRequest
from tsdiff_monitor.testing import MemoryReader, example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group

HOUR, DAY, STEP = pd.Timedelta("1h"), pd.Timedelta("1D"), pd.Timedelta("1min")
GATEWAY: Group = (("service", "gateway"),)
ORDERS: Group = (("service", "orders"),)


def parts_of(config: Path, folder: Path, models: Path | None = None) -> Assembly:
    return assemble(dry_run(load_config(config)), storage=folder, models=models)


def clock() -> Callable[[], float]:
    """Seconds that pass whenever somebody looks."""
    return itertools.count().__next__


def replayed(pipeline: Pipeline, **options: Any) -> tuple[Replay, list[tuple[str, TsdiffError]]]:
    options = {"title": "t", "chunk": DAY, "clock": clock(), **options}
    return replay(pipeline, Spans.of(pipeline, None, None), **options)


def test_a_small_demo_is_the_same_twice(write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """All four files, byte for byte, from fits of their own; the incident is found and nothing else."""
    document["readers"]["fleet"]["services"] = 1
    config = write_config(document)
    for name in ("a", "b"):
        with parts_of(config, tmp_path / f"storage-{name}") as parts:
            found, errors = replayed(parts.pipelines["services"], chunk=HOUR, after_tick=parts.dispatcher.run_due)
        assert errors == []
        write_report(dataclasses.replace(found, config_text=config.read_text()), tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["labelled_incidents"] == summary["detected_incidents"] == 1
    assert summary["rows"] == 6 * 60
    (event, *_) = (json.loads(line) for line in (tmp_path / "a" / "events.jsonl").read_text().splitlines())
    assert event["group"] == {"service": "gateway"}
    page = (tmp_path / "a" / "report.html").read_text()
    assert event["culprits"][0]["metric"] in page


def test_the_size_of_chunks_changes_nothing(write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """Ten minutes at a time or all at once: the same events, and scores equal within rounding."""
    config = write_config(document)
    found = []
    for k, chunk in enumerate((pd.Timedelta("10min"), DAY)):
        with parts_of(config, tmp_path / str(k)) as parts:
            found.append(replayed(parts.pipelines["services"], chunk=chunk)[0])
    for one, other in zip(found[0].groups, found[1].groups, strict=True):
        assert one.group == other.group
        np.testing.assert_allclose(one.scores.score, other.scores.score, rtol=1e-5)
        np.testing.assert_array_equal(one.frame.values, other.frame.values)
        assert [(e.id, e.start, e.end, [c.metric for c in e.culprits]) for e in one.events] == [
            (e.id, e.start, e.end, [c.metric for c in e.culprits]) for e in other.events
        ]
        assert one.evidence.keys() == other.evidence.keys() == {event.id for event in one.events}


def test_the_span_is_scored_whole_and_read_once(write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """Each row of the replayed span, no other; each chunk reads its own rows and one window before them."""
    with parts_of(write_config(document), tmp_path / "storage") as parts:
        pipeline = parts.pipelines["services"]
        requests: list[ReadRequest] = []
        reader = pipeline.reader

        class Recorder:
            def read(self, request: ReadRequest) -> Reading:
                requests.append(request)
                return reader.read(request)

        spans = Spans.of(pipeline, None, None)
        found, _ = replay(dataclasses.replace(pipeline, reader=Recorder()), spans, title="t", chunk=HOUR, clock=clock())
    for group in found.groups:
        assert group.scores.times[0] == spans.start
        assert len(group.scores) == (spans.end - spans.start) / STEP
        assert group.incidents is None  # the recorder knows none
    fit, *ticks = requests
    assert (fit.start, fit.end) == (spans.fit_start, spans.fit_end)
    assert {(one.end - one.start) / STEP for one in ticks} == {60 + pipeline.model.window}


class TwoMachines(MemoryReader):
    """Two recordings of different times, in one source."""

    def extents(self, groupby: tuple[str, ...]) -> dict[Group, Extent]:
        return {
            group: Extent(frame.start, frame.start + 200 * STEP, frame.start + 200 * STEP, frame.end)
            for group, frame in self.frames.items()
        }


@pytest.fixture
def machines() -> dict[Group, Frame]:
    later = "2024-05-01T02:00:00Z"
    return {
        GATEWAY: example_frame(400, group=GATEWAY, names=("cpu", "memory")),
        ORDERS: example_frame(400, group=ORDERS, names=("cpu", "memory"), start=later, seed=1),
    }


def machines_pipeline(
    parts: Assembly, frames: dict[Group, Frame], reader: type[MemoryReader] = TwoMachines
) -> Pipeline:
    return dataclasses.replace(parts.pipelines["services"], reader=reader(frames))


def test_each_group_has_its_own_spans(
    write_config: Any, document: dict[str, Any], machines: dict[Group, Frame], tmp_path: Path
) -> None:
    """One machine may score rows that another fits on: each is fit and scored on its own rows."""
    with parts_of(write_config(document), tmp_path / "storage") as parts:
        pipeline = machines_pipeline(parts, machines)
        found, errors = replayed(pipeline)
        assert errors == []
        for group in found.groups:
            frame = machines[group.group]
            assert group.scores.times[0] == frame.start + 200 * STEP
            assert group.scores.times[-1] == frame.end - STEP
            assert pipeline.models.get("services", group.group).card.fit_end == group.scores.times[0].isoformat()


def test_a_group_without_history_is_named_and_not_scored(
    write_config: Any, document: dict[str, Any], machines: dict[Group, Frame], tmp_path: Path
) -> None:
    """Not even with a model that an earlier backtest left."""
    start, models = machines[GATEWAY].start, tmp_path / "models"
    with parts_of(write_config(document), tmp_path / "earlier", models) as parts:
        replayed(machines_pipeline(parts, machines))
    with parts_of(write_config(document), tmp_path / "storage", models) as parts:
        pipeline = machines_pipeline(parts, machines)
        assert pipeline.models.exists("services", ORDERS)
        spans = Spans(start, start + 110 * STEP, start + 200 * STEP, start + 300 * STEP)
        found, errors = replay(pipeline, spans, title="t", chunk=DAY, clock=clock())
    assert [group.group for group in found.groups] == [GATEWAY]
    ((where, error),) = errors
    assert where == "service=orders"
    assert "the source has nothing of it in the span to fit on" in str(error)


def test_a_group_that_cannot_be_fit_is_named_once(
    write_config: Any, document: dict[str, Any], machines: dict[Group, Frame], tmp_path: Path
) -> None:
    """The error says why; the others are reported."""
    start = machines[ORDERS].start
    with parts_of(write_config(document), tmp_path / "storage") as parts:
        pipeline = machines_pipeline(parts, machines)
        spans = Spans(machines[GATEWAY].start, start + 10 * STEP, start + 10 * STEP, start + 100 * STEP)
        found, errors = replay(pipeline, spans, title="t", chunk=HOUR, clock=clock())
    assert [group.group for group in found.groups] == [GATEWAY]
    ((where, error),) = errors
    assert where == "service=orders"
    assert "at least one window of 16 rows, but there are 10" in str(error)


def test_rows_scored_again_count_once(
    write_config: Any, document: dict[str, Any], machines: dict[Group, Frame], tmp_path: Path
) -> None:
    """A commit that failed is made good by the next chunk: the error is reported, no row is doubled."""
    with parts_of(write_config(document), tmp_path / "storage") as parts:
        pipeline = machines_pipeline(parts, {GATEWAY: machines[GATEWAY]})
        commit_tick, failures = parts.store.commit_tick, iter([None, StoreError("database is locked")])

        class Shaky:
            def __getattr__(self, name: str) -> Any:
                return getattr(parts.store, name)

            def commit_tick(self, *args: Any) -> None:
                failure = next(failures, None)
                if failure is not None:
                    raise failure
                commit_tick(*args)

        found, errors = replayed(dataclasses.replace(pipeline, store=Shaky()), chunk=HOUR)  # type: ignore[arg-type]
    assert [str(error) for _, error in errors] == ["database is locked"]
    (group,) = found.groups
    np.testing.assert_array_equal(group.frame.values, machines[GATEWAY].values[200:])
    assert len(group.scores) == 200


class Pathless:
    """A reader that does not know where its data lies."""

    def read(self, request: ReadRequest) -> Reading:
        return Reading({})


def test_spans_come_from_the_options_or_the_source(write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """A start fits on ``fit_window`` before it; an end alone cuts the source's span; else the source gives both."""
    with parts_of(write_config(document), tmp_path / "storage") as parts:
        pipeline = parts.pipelines["services"]
        known = Spans.of(pipeline, None, None)
        assert known.fit_end == known.start == known.end - 6 * HOUR
        assert set(known.start_by_group) == {GATEWAY, ORDERS}
        given = Spans.of(pipeline, known.start + HOUR, None)
        assert (given.fit_start, given.fit_end) == (known.start - 11 * HOUR, known.start + HOUR)
        assert (given.end, given.start_by_group) == (known.end, {})
        assert Spans.of(pipeline, None, known.start + HOUR).end == known.start + HOUR
        with pytest.raises(DataError, match="nothing to score from"):
            Spans.of(pipeline, None, known.start)
        with pytest.raises(DataError, match="let --start be before --end"):
            Spans.of(pipeline, known.end, known.start)
        pathless = dataclasses.replace(pipeline, reader=Pathless())
        with pytest.raises(DataError, match="does not say where its data lies; give --start and --end"):
            Spans.of(pathless, known.start, None)
        assert Spans.of(pathless, known.start, known.end).end == known.end
