"""Fits as tasks: histories in, fitted detectors or failures out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.detectors.registry import fit_detector
from tsdiff_monitor.pipeline.score import Failed
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["FitTask", "Fitted", "Fitter", "LocalFitter", "Progress"]

Progress = Callable[[Group, int, int], None]
"""Called with a group, steps done and steps in all; raises a ``BaseException`` that is no ``Exception`` to give up."""


@dataclass(frozen=True, eq=False)
class FitTask:
    """One group's model to fit: its ``history``, how, and the shared network it is ``base``d on, if there is one.

    ``mark``: the fingerprint of all that the fit depends on.
    """

    monitor: str
    group: Group
    history: Frame
    config: ModelConfig
    confirm_rows: int
    base: SharedNetwork | None = None
    mark: str = ""


@dataclass(frozen=True, eq=False)
class Fitted:
    """The detector of a task."""

    task: FitTask
    detector: Detector


class Fitter(Protocol):
    """Fits many groups; a failing one never stops the others."""

    def fit(
        self, tasks: Iterable[FitTask], *, progress: Progress, clock: Callable[[], float] = time.monotonic
    ) -> Iterable[Fitted | Failed]:
        """One result for each task. Tasks are taken one by one, so that their histories need not all be in memory."""
        ...


class LocalFitter:
    """Fits one group after the other in this process."""

    def fit(
        self, tasks: Iterable[FitTask], *, progress: Progress, clock: Callable[[], float] = time.monotonic
    ) -> Iterator[Fitted | Failed]:
        """One result for each task."""
        for task in tasks:
            try:
                detector = fit_detector(
                    task.history,
                    task.config,
                    base=task.base,
                    confirm_rows=task.confirm_rows,
                    progress=lambda done, total, group=task.group: progress(group, done, total),  # type: ignore[misc]
                    clock=clock,
                )
            except Exception as error:  # a bug in one group must not stop the others
                where = group_name(task.group)
                yield Failed(task.group, known_error(error, monitor=task.monitor, group=where))
            else:
                yield Fitted(task, detector)
