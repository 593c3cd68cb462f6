"""What counts as found."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.rehearsal.conftest import END, STEP
from tsdiff_monitor.injection import Incident
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.rehearsal.ground import fitted, survey
from tsdiff_monitor.rehearsal.incidents import Pass
from tsdiff_monitor.rehearsal.trial import Stage, judged
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.selection import conformed


@pytest.fixture
def stage(make_pipeline: Any, tmp_path: Path) -> Iterator[Stage]:
    """One host with its model; io, the second of its metrics, has a noise of 0.2 on a wave of 2."""
    with make_pipeline() as pipeline, Store(tmp_path / "trials.sqlite") as trials:
        (ground,) = survey(pipeline, 1, None, END).grounds
        models, errors = fitted(pipeline, ModelStore(tmp_path / "models"), (ground,))
        assert errors == []
        detector, _ = models[ground.group]
        frame, _ = conformed(ground.frame, detector.names)
        yield Stage(pipeline, trials, dataclasses.replace(ground, frame=frame), Following.over(detector, ground), 20.0)


def played(stage: Stage, change: Any, start: int, end: int, name: str = "t") -> Any:
    values = stage.ground.frame.values[stage.ground.first :].copy()
    io = stage.ground.frame.names.index("io")
    values[:, io] = change(values[:, io])
    return judged(stage, Pass(values, (Incident("test", start, end, (io,), 1.0),)), name)


def test_a_large_spike_and_a_dead_metric(stage: Stage) -> None:
    """Both are found, with the metric among the first culprits and the delay counted from the first changed row."""

    def spike(column: np.ndarray) -> np.ndarray:
        column[500:504] += 20
        return column

    ((_, found),) = played(stage, spike, 500, 504, "spike")
    assert (found.delay, found.named, found.rows, found.metrics) == (1, True, 4, ("io",))

    def dead(column: np.ndarray) -> np.ndarray:
        column[700:760] = 0.0
        return column

    ((_, found),) = played(stage, dead, 700, 760, "dead")
    assert found.found and found.named


def test_nothing_is_not_found(stage: Stage) -> None:
    """Rows as they were make no event, whoever is said to be in them; a late event is none of the incident's."""
    ((_, found),) = played(stage, lambda column: column, 500, 520)
    assert (found.found, found.delay, found.named) == (False, None, False)

    def later(column: np.ndarray) -> np.ndarray:
        column[540:600] += 20
        return column

    ((_, found),) = played(stage, later, 500, 520, "later")
    assert not found.found


def test_an_event_that_is_there_before_is_no_trial(stage: Stage) -> None:
    """Nobody could say whether the incident was found."""

    def before(column: np.ndarray) -> np.ndarray:
        column[495:520] += 20
        return column

    assert played(stage, before, 500, 520) == []


def test_a_scene_holds_what_the_model_needs(stage: Stage) -> None:
    """A whole window before the first row to score, which is where it is asked for."""
    values = stage.ground.frame.values[stage.ground.first :]
    scene = stage.scene(values, 100, 120)
    assert scene.first == stage.ground.start + 100 * STEP
    assert scene.frame.row(scene.first) == stage.detector.window
    assert len(scene.frame) == stage.detector.window + 20
