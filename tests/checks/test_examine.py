"""Findings of ``check sources`` about queries, on frames with one fault each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.checks.examine import Examined, examine
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

STEP = pd.Timedelta("10min")
ROWS = 1440
START = pd.Timestamp("2024-05-01T00:00:00Z")
NOW = START + STEP * ROWS
ONE: Group = (("instance", "web-1"),)


def columns(rows: int = ROWS, **made: np.ndarray) -> dict[str, np.ndarray]:
    """Two daily waves with noise of their own, and what the test adds."""
    rng = np.random.default_rng(0)
    day = np.sin(2 * np.pi * np.arange(rows) / 144)
    return {"cpu": 5 + day + rng.normal(0, 0.3, rows), "load": 2 - day + rng.normal(0, 0.3, rows), **made}


def frame(values: Mapping[str, np.ndarray], labels: Mapping[str, str] | None = None) -> Frame:
    series = tuple(Series(name, {"instance": "web-1", **(labels or {})}, name) for name in values)
    return Frame(START, STEP, np.stack(list(values.values()), 1).astype(np.float32), series)


def looked_at(
    frames: Mapping[Group, Frame], *, now: pd.Timestamp = NOW, reader: Any = None, **monitor: Any
) -> list[Examined]:
    raw = {"reader": "memory", "scheduler": "often", "step": "10m", "groupby": ["instance"], "queries": {"all": "*"}}
    pipeline = Pipeline(
        "hosts",
        MonitorConfig.model_validate(raw | monitor),
        DiffusionModelConfig(window=16, fit_window=STEP * ROWS),
        SchedulerConfig.model_validate({"infer_every": "10m", "offset": "0s"}),
        reader or MemoryReader(frames),
        None,  # type: ignore[arg-type]  # neither store nor models are touched
        None,  # type: ignore[arg-type]
    )
    return list(examine(pipeline, now))


def problems(frames: Mapping[Group, Frame], **options: Any) -> list[str]:
    (one,) = looked_at(frames, **options)
    assert one.error is None
    assert all(finding.fix for finding in one.findings)
    return [finding.problem for finding in one.findings]


def test_healthy_metrics_need_nothing() -> None:
    """Numbers, the season, and no advice."""
    (one,) = looked_at({ONE: frame(columns())})
    assert one.measures is not None
    assert (one.measures.groups, one.measures.series, one.measures.rows) == (1, 2, ROWS)
    assert one.measures.period == pd.Timedelta("1D")
    assert one.measures.missing == 0
    assert one.measures.newest == NOW - STEP
    assert one.findings == ()


@pytest.mark.parametrize(
    ("name", "made", "problem"),
    [
        ("flat", np.full(ROWS, 7.0), "1 never change: flat"),
        ("total", np.cumsum(np.random.default_rng(1).poisson(5, ROWS)) % 50_000, "1 only ever grow: total"),
        ("twin", 3 * columns()["cpu"] + 1, "1 are pairs that say the same: cpu and twin"),
    ],
)
def test_series_that_say_nothing_of_their_own(name: str, made: np.ndarray, problem: str) -> None:
    """Constants, counters and copies are named."""
    assert problems({ONE: frame(columns(**{name: made.astype(float)}))}) == [problem]


def test_a_falling_metric_is_no_counter() -> None:
    """A metric that mostly grows but also falls by parts is a gauge; so is a slow drift."""
    rng = np.random.default_rng(2)
    saw = np.arange(ROWS) % 50 + rng.normal(0, 0.01, ROWS)
    drift = 100 + np.arange(ROWS) / 100 + rng.normal(0, 1, ROWS)
    assert problems({ONE: frame(columns(saw=100 + saw, drift=drift))}) == []


def test_values_that_come_more_seldom_than_rows() -> None:
    """The step that fits is named, for rows between that are empty and for those that repeat the value before."""
    held = {name: np.repeat(values[::6], 6) for name, values in columns().items()}
    empty = {name: np.where(np.arange(ROWS) % 6, np.nan, values) for name, values in columns().items()}
    for values in (held, empty):
        (one,) = looked_at({ONE: frame(values)})
        (finding,) = one.findings
        assert finding.problem == "a new value comes every 1h only, the step is 10m"
        assert "`step: 1h`" in finding.fix


def test_gaps_age_and_short_history() -> None:
    """Each is measured and reported with the key to change."""
    rng = np.random.default_rng(3)
    holes = {name: np.where(rng.random(ROWS) < 0.4, np.nan, values) for name, values in columns().items()}
    (missing,) = problems({ONE: frame(holes)})
    assert missing.startswith(("39%", "40%", "41%")) and "of the cells have no value" in missing
    stale = {name: np.where(np.arange(ROWS) < ROWS - 12, values, np.nan) for name, values in columns().items()}
    assert problems({ONE: frame(stale)}) == ["the newest value is 2h10m old"]
    young = {name: np.where(np.arange(ROWS) < ROWS - 20, np.nan, values) for name, values in columns().items()}
    (one,) = looked_at({ONE: frame(young)})
    assert [finding.problem for finding in one.findings] == [
        "only 20 rows of history, and a model of window 16 wants 64"
    ]
    assert "wait for 7h20m more" in one.findings[0].fix


def test_a_crowd_gets_advice_on_splitting() -> None:
    """Labels that would make smaller groups are named with how many values they have."""
    rng = np.random.default_rng(4)
    series = tuple(Series(f"s{k}", {"instance": "web-1", "core": str(k % 30), "id": str(k)}, "all") for k in range(240))
    crowd = Frame(START, STEP, rng.normal(size=(ROWS, 240)).astype(np.float32), series)
    (one,) = looked_at({ONE: crowd})
    assert [finding.problem for finding in one.findings] == ["a group has 240 series of this query alone"]
    assert "core (30), id (240)" in one.findings[0].fix


def test_several_groups_are_named() -> None:
    """Series are named by their group, and the range of sizes is given."""
    other: Group = (("instance", "web-2"),)
    frames = {ONE: frame(columns(flat=np.ones(ROWS))), other: frame(columns())}
    (one,) = looked_at(frames)
    assert one.measures is not None
    assert one.measures.per_group == (2, 3, 3)
    assert one.findings[0].problem == "1 never change: instance=web-1/flat"


def test_no_data_is_advice_and_no_error() -> None:
    """A query that finds nothing says which key to look at; a good one beside it is judged by itself."""
    queries = {"gone": "nothing_like_it", "good": "*"}
    gone, good = looked_at({ONE: frame(columns())}, queries=queries)
    assert [finding.problem for finding in gone.findings] == ["no series has a value in the whole fit window"]
    assert "queries.gone.expr" in gone.findings[0].fix
    assert good.findings == ()


class _Refusing:
    """Fails for one query, with a bug for another, and answers the third in part."""

    def read(self, request: ReadRequest) -> Reading:
        (query,) = request.queries
        if query.name == "bad":
            raise SourceError("parse error near )", reason="bad_query")
        if query.name == "bug":
            raise KeyError("token hunter2")
        return Reading({ONE: frame(columns())}, ("store 2 did not answer",), partial=True)


def test_failures_are_reported_by_query() -> None:
    """A query that fails does not stop the others; a bug's text is not shown; a partial answer is no success."""
    examined = looked_at({}, reader=_Refusing(), queries={"bad": "(", "bug": "x", "part": "y"})
    errors = [str(one.error) for one in examined]
    assert errors[0] == "parse error near )"
    assert "unexpected KeyError" in errors[1] and "hunter2" not in errors[1]
    assert "only part of an answer" in errors[2]
    assert examined[2].warnings == ("store 2 did not answer",)
