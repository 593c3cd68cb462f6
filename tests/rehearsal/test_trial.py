"""Incidents that count as found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.rehearsal.conftest import END, STEP
from tsdiff_monitor.injection import InjectedAnomaly
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.rehearsal.baseline_rows import fitted, survey
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.rehearsal.incidents import Round
from tsdiff_monitor.rehearsal.trial import Sandbox, judged
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.selection import align_metrics


@pytest.fixture
def sandbox(make_pipeline: Any, tmp_path: Path) -> Iterator[Sandbox]:
    """One host with its model; io, the second of its metrics, has a noise of 0.2 on a wave of 2."""
    with make_pipeline() as pipeline, Store(tmp_path / "trials.sqlite") as trials:
        (history,) = survey(pipeline, 1, None, END).histories
        models, errors = fitted(pipeline, ModelStore(tmp_path / "models"), (history,))
        assert errors == []
        detector, _ = models[history.group]
        frame, _ = align_metrics(history.frame, detector.names)
        yield Sandbox(
            pipeline, trials, dataclasses.replace(history, frame=frame), Following.over(detector, history), 20.0
        )


def played(sandbox: Sandbox, change: Any, start: int, end: int, name: str = "t") -> Any:
    values = sandbox.history.frame.values[sandbox.history.first :].copy()
    io = sandbox.history.frame.names.index("io")
    values[:, io] = change(values[:, io])
    return judged(sandbox, Round(values, (InjectedAnomaly("test", start, end, (io,), 1.0),)), name)


def test_a_large_spike_and_a_dead_metric(sandbox: Sandbox) -> None:
    """Both are found, with the metric among the first culprits and the delay counted from the first changed row."""

    def spike(column: np.ndarray) -> np.ndarray:
        column[500:504] += 20
        return column

    ((_, found),) = played(sandbox, spike, 500, 504, "spike")
    assert (found.delay, found.named, found.rows, found.metrics) == (1, True, 4, ("io",))

    def dead(column: np.ndarray) -> np.ndarray:
        column[700:760] = 0.0
        return column

    ((_, found),) = played(sandbox, dead, 700, 760, "dead")
    assert found.found and found.named


def test_nothing_is_not_found(sandbox: Sandbox) -> None:
    """Unchanged rows make no event, also where an incident is said to be; a late event is none of the incident's."""
    ((_, found),) = played(sandbox, lambda column: column, 500, 520)
    assert (found.found, found.delay, found.named) == (False, None, False)

    def later(column: np.ndarray) -> np.ndarray:
        column[540:600] += 20
        return column

    ((_, found),) = played(sandbox, later, 500, 520, "later")
    assert not found.found


def test_an_event_that_is_there_before_is_no_trial(sandbox: Sandbox) -> None:
    """It would not be clear whether the incident was found."""

    def before(column: np.ndarray) -> np.ndarray:
        column[495:520] += 20
        return column

    assert played(sandbox, before, 500, 520) == []


def test_a_scenario_holds_what_the_model_needs(sandbox: Sandbox) -> None:
    """A whole window before the first row to score, which is where it is asked for."""
    values = sandbox.history.frame.values[sandbox.history.first :]
    scenario = sandbox.scenario(values, 100, 120)
    assert scenario.first == sandbox.history.start + 100 * STEP
    assert scenario.frame.row(scenario.first) == sandbox.detector.window
    assert len(scenario.frame) == sandbox.detector.window + 20
