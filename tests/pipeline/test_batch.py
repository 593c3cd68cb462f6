"""Groups that share a network are scored by it together, and as if each were alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.pipeline.stubs import StubDetector, flat_frame, host
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.pipeline.batch import BatchScorer
from tsdiff_monitor.pipeline.detectors import ModelRef
from tsdiff_monitor.pipeline.score import Failed, LocalScorer, Scored, ScoreTask
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group

CONFIG = DiffusionModelConfig(shared=True, window=16, width=32, layers=1, fit_steps=20)
ROWS = 200


class Counting:
    """A network that keeps the number of windows of each call, and refuses those that hold ``poison``."""

    def __init__(self, inner: Any, poison: float | None = None) -> None:
        self.inner = inner
        self.poison = poison
        self.calls: list[int] = []
        self.any_metrics = True

    def denoise_arrays(self, noisy: np.ndarray, sigma: Any, windows: np.ndarray, target: np.ndarray) -> np.ndarray:
        self.calls.append(len(windows))
        if self.poison is not None and bool((windows > self.poison).any()):
            raise RuntimeError("hunter2")
        answer: np.ndarray = self.inner.denoise_arrays(noisy, sigma, windows, target)
        return answer


class Fleet:
    """A detector for each group; those given by name are not there."""

    def __init__(self, detectors: dict[Group, Detector]) -> None:
        self.detectors = detectors

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
        if group not in self.detectors:
            raise ModelError("there is no model here; fit one first")
        return self.detectors[group]


@pytest.fixture(scope="module")
def frames() -> dict[Group, Frame]:
    """Eight groups; every other one has a metric less."""
    made = {host(n): example_frame(ROWS, step="1min", seed=n) for n in range(8)}
    return {group: frame.select(frame.names[1:]) if n % 2 else frame for n, (group, frame) in enumerate(made.items())}


@pytest.fixture(scope="module")
def detectors(frames: dict[Group, Frame]) -> dict[Group, DiffusionDetector]:
    network = fit_shared(frames.values(), CONFIG)
    return {group: DiffusionDetector.fit(frame, CONFIG, base=network) for group, frame in frames.items()}


def counted(detectors: dict[Group, DiffusionDetector], poison: float | None = None) -> tuple[Fleet, Counting]:
    network = Counting(next(iter(detectors.values())).imputer, poison)
    return Fleet({group: dataclasses.replace(one, imputer=network) for group, one in detectors.items()}), network


def tasks_of(frames: dict[Group, Frame], new: int = 1, rules: dict[str, Rule] | None = None) -> list[ScoreTask]:
    """The newest ``new`` rows of each group."""
    return [
        ScoreTask(group, frame, len(frame) - new, ModelRef("hosts", group), 2.0, rules or {})
        for group, frame in frames.items()
    ]


def scores(results: Sequence[Scored | Failed]) -> np.ndarray:
    assert all(isinstance(one, Scored) for one in results)
    return np.concatenate([one.scores.score for one in results if isinstance(one, Scored)])


@pytest.mark.parametrize("new", [1, 40])
@pytest.mark.parametrize("rules", [{}, {"cpu_percent": Rule("above_expected", 0.1)}])
def test_together_as_alone(
    frames: dict[Group, Frame], detectors: dict[Group, DiffusionDetector], new: int, rules: dict[str, Rule]
) -> None:
    """Scores and attributions are those of each group by itself, in the order of the tasks, with any metrics."""
    tasks = tasks_of(frames, new, rules)
    fleet = Fleet(dict(detectors))
    together = list(BatchScorer(fleet).score(tasks))
    alone = list(LocalScorer(fleet).score(tasks))
    np.testing.assert_allclose(scores(together), scores(alone), rtol=1e-4, atol=1e-6)
    for one, other, task in zip(together, alone, tasks, strict=True):
        assert isinstance(one, Scored) and isinstance(other, Scored)
        assert one.task is task
        np.testing.assert_allclose(one.scores.attribution, other.scores.attribution, atol=1e-4)


def test_one_call_for_many_groups(frames: dict[Group, Frame], detectors: dict[Group, DiffusionDetector]) -> None:
    """The windows of all groups go through the network together: two masks, two calls."""
    fleet, network = counted(detectors)
    list(BatchScorer(fleet).score(tasks_of(frames)))
    assert network.calls == [8, 8]


def test_windows_that_wait_are_bounded(frames: dict[Group, Frame], detectors: dict[Group, DiffusionDetector]) -> None:
    """Groups that have much to catch up are taken in portions; the scores stay the same."""
    fleet, network = counted(detectors)
    tasks = tasks_of(frames, 40)
    found = list(BatchScorer(fleet, at_once=80).score(tasks))
    assert max(network.calls) <= 80
    np.testing.assert_allclose(scores(found), scores(list(LocalScorer(fleet).score(tasks))), rtol=1e-4, atol=1e-6)


def test_groups_that_fail_stop_no_other(frames: dict[Group, Frame], detectors: dict[Group, DiffusionDetector]) -> None:
    """Without a model, with metrics of another fit, or with windows that the network cannot take: one failure each."""
    bad = frames[host(2)]
    values = bad.values.copy()
    values[-1] = 1e9
    poisoned = {**frames, host(2): Frame(bad.start, bad.step, values, bad.series)}
    poisoned[host(5)] = poisoned[host(5)].select(poisoned[host(5)].names[:1])
    fleet, _ = counted({group: one for group, one in detectors.items() if group != host(3)}, poison=1e5)
    results = list(BatchScorer(fleet).score(tasks_of(poisoned)))
    failed = {one.group: str(one.error) for one in results if isinstance(one, Failed)}
    assert set(failed) == {host(2), host(3), host(5)}
    assert "hunter2" not in failed[host(2)] and "RuntimeError" in failed[host(2)]
    assert sum(isinstance(one, Scored) for one in results) == 5


def test_detectors_of_other_kinds_are_scored_one_by_one() -> None:
    """A detector without steps is asked for its scores; its place among the results is kept."""
    start = example_frame(8).start
    fleet = Fleet({host(0): StubDetector(), host(1): StubDetector()})
    frames = {host(0): flat_frame(start, 8, 0.25), host(1): flat_frame(start, 8, 3.0)}
    assert scores(list(BatchScorer(fleet).score(tasks_of(frames)))).tolist() == [0.25, 3.0]
