"""The cold start: a baseline that scores a group from its first hour until its model has been fit.

It is fit from what the source has, up to the first row to score, and again whenever its history has doubled: the first
hours teach little, and the thresholds that follow from them are wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pandas as pd

from tsdiff_monitor.baselines.config import BaselineModelConfig
from tsdiff_monitor.errors import DataError, ModelError, SourceError, TsdiffError
from tsdiff_monitor.frame import Frame, Group, group_name
from tsdiff_monitor.results import TickResult
from tsdiff_monitor.unexpected import unexpected

if TYPE_CHECKING:
    from tsdiff_monitor.baselines.detector import BaselineDetector
    from tsdiff_monitor.pipeline import Pipeline

__all__ = ["HISTORY_ROWS", "LEAST_ROWS", "ColdStart"]

LEAST_ROWS = 32
"""Rows with a value that a group must have among those that a tick reads anyway, before more is read for it."""
HISTORY_ROWS = 4096
"""Rows of history read at most: more than two days of minutes, so that a daily period can show."""


@dataclass(frozen=True)
class ColdStart:
    """The baselines of one monitor's groups that have no model yet."""

    pipeline: Pipeline
    method: Literal["smoothing", "seasonal"]

    @property
    def config(self) -> BaselineModelConfig:
        """How they are fit."""
        return BaselineModelConfig(method=self.method)

    def get(self, group: Group) -> BaselineDetector | None:
        """The group's baseline; None when there is none that can be used."""
        from tsdiff_monitor.baselines.detector import BaselineDetector

        try:
            found = self.pipeline.models.get(self.pipeline.name, group, cold=True)
        except ModelError:
            return None
        return found if isinstance(found, BaselineDetector) else None

    def prepare(
        self,
        firsts: Mapping[Group, pd.Timestamp],
        frames: Mapping[Group, Frame],
        result: TickResult,
        clock: Callable[[], float],
    ) -> None:
        """Fit the baselines that groups lack or have outgrown, on the rows before those to score (``firsts``).

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
        baseline = self.get(group)
        if baseline is None or baseline.config != self.config:
            return True
        begin, end = pd.Timestamp(baseline.card.fit_start), pd.Timestamp(baseline.card.fit_end)
        return first - end >= end - begin

    def _fit(self, group: Group, frame: Frame) -> None:
        from tsdiff_monitor.detectors import fit_detector

        pipeline = self.pipeline
        history = pipeline.history(group, frame)
        detector = fit_detector(history, self.config, confirm_rows=pipeline.monitor.events.confirm_rows)
        pipeline.models.put_cold(pipeline.name, group, detector)
