"""The cold start: a fallback that scores a group from its first hour until its model has been fit.

A baseline; or, where groups share a network, that one, as soon as the group has history enough for thresholds of its
own. It is fit from what the source has, up to the first row to score, and again whenever its history has doubled: the
first hours teach little, and the thresholds that follow from them are wide.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import DataError, ModelError, SourceError, TsdiffError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.fitting import FitTask, Fitted, Fitter
from tsdiff_monitor.pipeline.history import stored_history
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.read import read_whole
from tsdiff_monitor.pipeline.shared_fit import stored_network
from tsdiff_monitor.plugins import Reader
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

__all__ = ["HISTORY_ROWS", "LEAST_ROWS", "ColdStart", "fit_cold"]

LEAST_ROWS = 32
"""Rows with a value that a group must have among those that a tick reads anyway, before more is read for it."""
HISTORY_ROWS = 4096
"""Rows of history read at most: more than two days of minutes, so that a daily period can show."""
_SHARED_WINDOWS = 4
"""Windows of history that a group must have to be served by the shared network: as many as a fit asks for."""


@dataclass(frozen=True)
class ColdStart:
    """The fallbacks of one monitor's groups. Reading and fitting is the caller's."""

    monitor: Monitor
    model: DiffusionModelConfig
    models: ModelStore

    @classmethod
    def of(cls, monitor: Monitor, models: ModelStore) -> ColdStart | None:
        """The cold start that the monitor's model asks for; None where groups wait for their fit."""
        model = monitor.model
        if isinstance(model, DiffusionModelConfig) and (model.shared or model.cold_start != "none"):
            return cls(monitor, model, models)
        return None

    @property
    def config(self) -> BaselineModelConfig:
        """The configuration by which baselines are fit."""
        method = self.model.cold_start
        return BaselineModelConfig() if method == "none" else BaselineModelConfig(method=method)

    def has(self, group: Group) -> bool:
        """True if the group has a fallback that can be used."""
        try:
            return self._get(group) is not None
        except Exception:  # reported where it was wanted
            return False

    def wanted(self, firsts: Mapping[Group, pd.Timestamp], frames: Mapping[Group, Frame]) -> dict[Group, pd.Timestamp]:
        """Of groups without a model, with their first rows to score, those that lack a fallback or have outgrown it.

        ``frames`` is what the tick has read: groups with too few rows wait.
        """
        return {group: first for group, first in firsts.items() if self._is_due(group, frames[group], first)}

    def span(self, first: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        """The history of a group whose first row to score is ``first``."""
        return first - HISTORY_ROWS * self.monitor.step, first

    def task(self, group: Group, history: Frame) -> FitTask | None:
        """The fit of a group's fallback on what can be learned of its rows; None when there is nothing to fit yet."""
        base = stored_network(self.monitor, self.models)
        if base is not None and int(history.observed.any(1).sum()) < _SHARED_WINDOWS * self.model.window:
            base = None
        if base is None and self.model.cold_start == "none":
            return None
        config = self.config if base is None else self._served
        confirm_rows = self.monitor.config.events.confirm_rows
        return FitTask(self.monitor.name, group, history, config, confirm_rows, base)

    def _get(self, group: Group) -> Detector | None:
        from tsdiff_monitor.detectors.baseline.detector import BaselineDetector

        try:
            found = self.models.get(self.monitor.name, group, cold=True)
        except ModelError:
            return None
        if isinstance(found, BaselineDetector):
            return found
        if self.model.shared:
            from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

            return found if isinstance(found, DiffusionDetector) else None
        return None

    def _is_due(self, group: Group, frame: Frame, first: pd.Timestamp) -> bool:
        if int(frame.between(frame.start, first).observed.any(1).sum()) < LEAST_ROWS:
            return False
        if self.model.cold_start == "none" and stored_network(self.monitor, self.models) is None:
            return False
        fallback = self._get(group)
        if fallback is None or fallback.config not in (self.config, self._served):  # type: ignore[attr-defined]
            return True
        card = fallback.card  # type: ignore[attr-defined]
        begin, end = pd.Timestamp(card.fit_start), pd.Timestamp(card.fit_end)
        return bool(first - end >= end - begin)

    @property
    def _served(self) -> DiffusionModelConfig:
        """The shared network's configuration here: served at once, adaptation and export being left to the fit."""
        return self.model.model_copy(update={"adapt_steps": 0, "runtime": "torch", "precision": "fp32"})


def fit_cold(
    cold: ColdStart,
    firsts: Mapping[Group, pd.Timestamp],
    frames: Mapping[Group, Frame],
    *,
    reader: Reader,
    store: Store,
    fitter: Fitter,
    clock: Callable[[], float],
) -> list[tuple[str, TsdiffError]]:
    """Fit the fallbacks that are wanted on the rows before those to score (``firsts``); gives what failed.

    A group with too little history is left out, without an error. Stops after one ``infer_every``: the groups left over
    have their turn at later ticks.
    """
    monitor, errors = cold.monitor, list[tuple[str, TsdiffError]]()
    wanted: dict[Group, pd.Timestamp] = {}
    for group, first in firsts.items():
        try:
            wanted |= cold.wanted({group: first}, frames)
        except Exception as error:  # a bug in one group must not stop the others
            errors.append((group_name(group), known_error(error, monitor=monitor.name)))
    if not wanted:
        return errors
    began, budget = clock(), monitor.scheduler.infer_every.total_seconds()
    start = min(cold.span(first)[0] for first in wanted.values())
    try:
        request = monitor.request(start, max(wanted.values()), wanted)
        histories = read_whole(reader, monitor.name, request).frames
    except SourceError as error:  # the rows to score have been read: groups with a model are not held up
        return [*errors, ("cold start", error)]

    def tasks() -> Iterator[FitTask]:
        for group, first in wanted.items():
            if group not in histories or clock() - began > budget:
                continue
            try:
                history = stored_history(monitor, store, group, histories[group].between(*cold.span(first)))
                task = cold.task(group, history)
            except DataError:  # not enough rows yet
                continue
            except Exception as error:  # a bug in one group must not stop the others
                errors.append((group_name(group), known_error(error, monitor=monitor.name)))
                continue
            if task is not None:
                yield task

    for outcome in fitter.fit(tasks(), progress=lambda *_: None, clock=clock):
        if isinstance(outcome, Fitted):
            try:
                cold.models.put_cold(monitor.name, outcome.task.group, outcome.detector)
            except Exception as error:  # a disk that is full must not stop the others
                errors.append((group_name(outcome.task.group), known_error(error, monitor=monitor.name)))
        elif not isinstance(outcome.error, DataError):  # which says that there are not enough rows yet
            errors.append((group_name(outcome.group), outcome.error))
    return errors
