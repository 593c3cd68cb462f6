"""Scoring of many groups through one network call.

Detectors that score in steps (:data:`~tsdiff_monitor.diffusion.denoiser.Steps`) are run side by side: each says which
windows it needs denoised next, and the windows of all groups that are served by the same network go through it
together. A group with fewer metrics than its neighbours is padded with missing ones, which a network for any number of
metrics does not attend to. All other detectors are scored one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tsdiff_monitor.diffusion.batching import windows_at_once
from tsdiff_monitor.diffusion.denoiser import AnyMetrics, DenoiseRequest, Steps, WindowDenoiser
from tsdiff_monitor.pipeline.detectors import Models
from tsdiff_monitor.pipeline.score import Failed, LocalScorer, Scored, ScoreTask, failed
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["BatchScorer", "StepwiseDetector"]

_AT_ONCE = 4096
"""Windows that wait for an answer at most: bounds memory when many groups catch up."""
_CELLS = 500_000
"""Windows x rows x channels of one network call: what stays in the processor's cache is a third quicker."""
_PADDING = 1.25
"""A batch holds groups of so many times the metrics of its smallest one, at most."""


@runtime_checkable
class StepwiseDetector(Protocol):
    """A detector whose network can be asked for several groups at once."""

    @property
    def imputer(self) -> WindowDenoiser:
        """The network that answers; one object for all groups that share it."""
        ...

    def score_steps(
        self, frame: Frame, *, first: int = 0, alarms_per_week: float = 1.0, rules: Mapping[str, Rule] | None = None
    ) -> Steps[Scores]:
        """``score``, step by step."""
        ...


@dataclass(eq=False)
class _Run:
    """A group that is being scored: its steps, and what it asks for now."""

    position: int
    task: ScoreTask
    denoiser: WindowDenoiser
    steps: Steps[Scores]
    request: DenoiseRequest

    @property
    def metrics(self) -> int:
        return int(self.request.windows.shape[2])


@dataclass(frozen=True)
class BatchScorer:
    """Scores groups that share a network together.

    ``at_once``: no more groups are begun while so many windows wait for an answer.
    """

    models: Models
    at_once: int = _AT_ONCE

    def score(self, tasks: Sequence[ScoreTask]) -> Iterator[Scored | Failed]:
        """One result for each task, in the order of the tasks."""
        results: dict[int, Scored | Failed] = {}
        waiting = iter(enumerate(tasks))
        running: list[_Run] = []
        exhausted = False
        while running or not exhausted:
            pending = sum(len(run.request.windows) for run in running)
            while not exhausted and pending < self.at_once:
                position, task = next(waiting, (0, None))
                if task is None:
                    exhausted = True
                elif (run := self._start(position, task, results)) is not None:
                    running.append(run)
                    pending += len(run.request.windows)
            running = [run for batch in _batches(running) for run in _answer(batch, results)]
        return (results[position] for position in range(len(tasks)))

    def _start(self, position: int, task: ScoreTask, results: dict[int, Scored | Failed]) -> _Run | None:
        """The run of a task that has to ask; one that has not is in ``results``."""
        try:
            detector = task.model.resolve(self.models)
            if not isinstance(detector, StepwiseDetector):
                results[position] = next(LocalScorer(self.models).score([task]))
                return None
            steps = detector.score_steps(
                task.frame, first=task.first, alarms_per_week=task.alarms_per_week, rules=task.rules
            )
            return _Run(position, task, detector.imputer, steps, next(steps))
        except StopIteration as done:  # no window of it holds a value
            results[position] = Scored(task, done.value)
        except Exception as error:  # one group must not stop the others
            results[position] = failed(task, error)
        return None


def _batches(running: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Runs whose requests can be answered together: of one network, of alike metrics, within bounds of memory."""
    ordered = sorted(running, key=lambda run: (id(run.denoiser), run.metrics, run.position))
    batch: list[_Run] = []
    windows = 0
    for run in ordered:
        if batch and not (
            run.denoiser is batch[0].denoiser
            and _fits(run, batch[0])
            and windows + len(run.request.windows) <= windows_at_once(run.request.windows.shape[1], run.metrics, _CELLS)
        ):
            yield batch
            batch, windows = [], 0
        batch.append(run)
        windows += len(run.request.windows)
    if batch:
        yield batch


def _fits(run: _Run, smallest: _Run) -> bool:
    if run.metrics == smallest.metrics:
        return True
    padded = isinstance(run.denoiser, AnyMetrics) and run.denoiser.any_metrics
    return padded and run.metrics <= _PADDING * smallest.metrics + 1


def _answer(batch: Sequence[_Run], results: dict[int, Scored | Failed]) -> list[_Run]:
    """Answer the requests of a batch; returns the runs that ask again."""
    answers: Sequence[np.ndarray] | None
    try:
        answers = _denoised(batch)
    except Exception:  # one group's windows must not stop the others: each is asked by itself
        answers = None
    again = []
    for position, run in enumerate(batch):
        try:
            run.request = run.steps.send(_denoised([run])[0] if answers is None else answers[position])
            again.append(run)
        except StopIteration as done:
            results[run.position] = Scored(run.task, done.value)
        except Exception as error:
            results[run.position] = failed(run.task, error)
    return again


def _denoised(batch: Sequence[_Run]) -> list[np.ndarray]:
    """The answer to each run's request, by one network call."""
    requests = [run.request for run in batch]
    metrics = max(run.metrics for run in batch)
    counts = [len(request.windows) for request in requests]
    sigma = np.repeat(np.array([request.sigma for request in requests], dtype=np.float32), counts)
    noisy = _stacked([request.noisy for request in requests], metrics, np.float32(0.0))
    windows = _stacked([request.windows for request in requests], metrics, np.float32("nan"))
    target = _stacked([request.target for request in requests], metrics, False)
    answer = batch[0].denoiser.denoise_arrays(noisy, sigma, windows, target)
    ends = np.cumsum(counts)
    return [answer[end - n : end, :, : run.metrics] for end, n, run in zip(ends, counts, batch, strict=True)]


def _stacked(parts: Sequence[np.ndarray], metrics: int, filler: np.generic | bool) -> np.ndarray:
    """Windows ``[B, L, K]`` of several groups as one array, those with fewer than ``metrics`` columns filled up."""
    rows = sum(len(part) for part in parts)
    out = np.empty((rows, parts[0].shape[1], metrics), dtype=parts[0].dtype)
    at = 0
    for part in parts:
        block = out[at : at + len(part)]
        block[:, :, : part.shape[2]] = part
        block[:, :, part.shape[2] :] = filler
        at += len(part)
    return out
