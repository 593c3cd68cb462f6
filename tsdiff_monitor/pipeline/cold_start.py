"""The cold start: what scores a group from its first hour until its model has been fit.

A baseline; or, where groups share a network, that one, as soon as the group has history enough for thresholds of its
own. It is fit from what the source has, up to the first row to score, and again whenever its history has doubled: the
first hours teach little, and the thresholds that follow from them are wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import DataError, ModelError, SourceError, TsdiffError
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.pipeline.shared_fit import stored_network
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.baseline.detector import BaselineDetector
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.pipeline.tick import Pipeline

__all__ = ["HISTORY_ROWS", "LEAST_ROWS", "ColdStart"]

LEAST_ROWS = 32
"""Rows with a value that a group must have among those that a tick reads anyway, before more is read for it."""
HISTORY_ROWS = 4096
"""Rows of history read at most: more than two days of minutes, so that a daily period can show."""
_SHARED_WINDOWS = 4
"""Windows of history that a group must have to be served by the shared network: as many as a fit asks for."""


@dataclass(frozen=True)
class ColdStart:
    """What stands in for the models of one monitor's groups that have none yet."""

    pipeline: Pipeline
    model: DiffusionModelConfig

    @property
    def config(self) -> BaselineModelConfig:
        """How baselines are fit."""
        method = self.model.cold_start
        return BaselineModelConfig() if method == "none" else BaselineModelConfig(method=method)

    def get(self, group: Group) -> BaselineDetector | DiffusionDetector | None:
        """What stands in for the group's model; None when there is nothing that can be used."""
        from tsdiff_monitor.detectors.baseline.detector import BaselineDetector

        try:
            found = self.pipeline.models.get(self.pipeline.name, group, cold=True)
        except ModelError:
            return None
        if self.model.shared:
            from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

            return found if isinstance(found, BaselineDetector | DiffusionDetector) else None
        return found if isinstance(found, BaselineDetector) else None

    def prepare(
        self,
        firsts: Mapping[Group, pd.Timestamp],
        frames: Mapping[Group, Frame],
        result: TickResult,
        clock: Callable[[], float],
    ) -> None:
        """Fit what groups lack or have outgrown, on the rows before those to score (``firsts``).

        ``frames`` is what the tick has read. A group with too little history is left out, without an error; what else
        fails is in ``result``. Stops after one ``infer_every``: the groups left over have their turn at later ticks.
        """
        due = {group: first for group, first in firsts.items() if self._is_due(group, frames[group], first)}
        if not due:
            return
        pipeline = self.pipeline
        began, budget = clock(), pipeline.scheduler.infer_every.total_seconds()
        start = min(due.values()) - HISTORY_ROWS * pipeline.step
        try:
            histories = pipeline.read(pipeline.request(start, max(due.values()))).frames
        except SourceError as error:  # the rows to score have been read: groups with a model are not held up
            result.errors.append(("cold start", error))
            return
        for group, first in due.items():
            if group not in histories or clock() - began > budget:
                continue
            try:
                self._fit(group, histories[group].between(first - HISTORY_ROWS * pipeline.step, first))
            except DataError:  # not enough rows yet
                continue
            except TsdiffError as error:
                result.errors.append((group_name(group), error))
            except Exception as error:  # a bug in one group must not stop the others
                result.errors.append((group_name(group), unexpected(error, monitor=pipeline.name)))

    def _is_due(self, group: Group, frame: Frame, first: pd.Timestamp) -> bool:
        if int(frame.between(frame.start, first).observed.any(1).sum()) < LEAST_ROWS:
            return False
        if self.model.cold_start == "none" and stored_network(self.pipeline) is None:
            return False
        stand_in = self.get(group)
        if stand_in is None or stand_in.config not in (self.config, self._served):
            return True
        begin, end = pd.Timestamp(stand_in.card.fit_start), pd.Timestamp(stand_in.card.fit_end)
        return first - end >= end - begin

    @property
    def _served(self) -> DiffusionModelConfig:
        """How the shared network is served here: at once, adaptation and export being left to the fit."""
        return self.model.model_copy(update={"adapt_steps": 0, "runtime": "torch", "precision": "fp32"})

    def _fit(self, group: Group, frame: Frame) -> None:
        from tsdiff_monitor.detectors.registry import fit_detector

        pipeline = self.pipeline
        history, base = pipeline.history(group, frame), stored_network(pipeline)
        if base is not None and int(history.observed.any(1).sum()) < _SHARED_WINDOWS * self.model.window:
            base = None
        if base is None and self.model.cold_start == "none":
            return
        confirm_rows = pipeline.monitor.events.confirm_rows
        config = self.config if base is None else self._served
        pipeline.models.put_cold(
            pipeline.name, group, fit_detector(history, config, base=base, confirm_rows=confirm_rows)
        )
