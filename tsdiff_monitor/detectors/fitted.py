"""The skeleton of a fitted detector: all that does not depend on how normal values are predicted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from tsdiff_monitor.detectors.cards import FittedCard, identity
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.errors import DataError, ShortHistoryError
from tsdiff_monitor.scoring.attribution import attribute
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected, Scores
from tsdiff_monitor.timeseries.selection import aligned

__all__ = ["FittedDetector", "Quantiles", "require_history"]

Quantiles = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Middle, lower and upper value of cells, each ``[T, K]``."""

_Card = TypeVar("_Card", bound=FittedCard)
_TRIVIAL = Rule()


def require_history(frame: Frame, window: int) -> None:
    """Raise :class:`DataError` for fewer rows than a window, or a frame without a value: nothing can be fit on it."""
    if len(frame) < window:
        raise ShortHistoryError(len(frame), window)
    if not frame.observed.any():
        raise DataError("the history to fit on holds no value at all; check the queries and the time span")


@dataclass(frozen=True, eq=False)
class FittedDetector(ABC, Generic[_Card]):
    """A fitted model of one group. Immutable: scoring changes nothing, the same rows always give the same scores.

    A subclass says what the uncalibrated score of a row is (:meth:`_judge`), which calibration belongs to it, and what
    values were expected (:meth:`_predict`), all on frames with the metrics in the order of the fit.
    """

    card: _Card
    scaler: Scaler

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of the fit, in its order."""
        return tuple(metric.name for metric in self.card.metrics)

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        return self.card.config.window

    @property
    def step_seconds(self) -> float:
        """Seconds between rows."""
        return self.card.step_seconds

    @cached_property
    def identity(self) -> str:
        """Stands for this fit; the same after a restart."""
        return identity(self.card)

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Score the rows from ``first`` on; earlier rows are context. ``rules`` are by series name.

        The order of the frame's series does not matter; attributions follow it. Raises
        :class:`~tsdiff_monitor.errors.SchemaMismatchError` when the frame's metrics or its step are not those of the
        fit.
        """
        own, first, applied = self._prepared(frame, first, rules)
        raw, blamed = self._judge(own, first, mode, applied)
        return self._calibrated(frame, own, first, mode, alarms_per_week, raw, blamed)

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        """Expected values of the ``names``, with bands, in rows ``first <= t < last``.

        ``read`` rows are predicted at once where that saves work. The columns follow ``names``. Raises
        :class:`~tsdiff_monitor.errors.SchemaMismatchError` like :meth:`score`, and :class:`DataError` for a name the
        frame does not have.
        """
        series = frame.select(names).series
        own = aligned(frame, self.names, self.step_seconds)
        last = len(own) if last is None else min(last, len(own))
        first = min(first, last)
        columns = _columns(own, names)
        middle, lower, upper = (
            self.scaler.inverse(values)[:, columns] for values in self._predict(own, columns, (first, last), read)
        )
        return Expected(own.times[first:last], series, middle, lower, upper)

    def threshold(self, mode: Mode, alarms_per_week: float) -> float:
        """The uncalibrated score that counts as 1 at so many allowed ``alarms_per_week``."""
        return self._calibration(mode).threshold(alarms_per_week, self.step_seconds)

    def _prepared(self, frame: Frame, first: int, rules: Mapping[str, Rule] | None) -> tuple[Frame, int, list[Rule]]:
        """The frame as in the fit, the first row to score, and the rules of its metrics (none where all are trivial).

        Raises :class:`~tsdiff_monitor.errors.SchemaMismatchError`.
        """
        own = aligned(frame, self.names, self.step_seconds)
        applied = [rules.get(name, _TRIVIAL) for name in own.names] if rules else []
        return own, min(first, len(frame)), [] if all(rule.trivial for rule in applied) else applied

    def _calibrated(
        self,
        frame: Frame,
        own: Frame,
        first: int,
        mode: Mode,
        alarms_per_week: float,
        raw: np.ndarray,
        blamed: np.ndarray,
    ) -> Scores:
        """Scores by the calibration, with attributions in the order of the frame given."""
        threshold, normal = self.threshold(mode, alarms_per_week), self._calibration(mode).normal
        attribution = attribute(blamed)
        if own is not frame:
            attribution = attribution[:, _columns(own, frame.names)]
        return Scores(
            frame.times[first:],
            frame.series,
            raw / threshold,
            attribution,
            None if normal is None else normal / threshold,
            self.identity,
        )

    @abstractmethod
    def _judge(self, frame: Frame, first: int, mode: Mode, rules: list[Rule]) -> tuple[np.ndarray, np.ndarray]:
        """Uncalibrated scores ``[T - first]`` of the rows from ``first`` on, and each cell's part in them ``[.., K]``.

        ``rules`` has one for each metric, or is empty where every deviation counts.
        """

    @abstractmethod
    def _calibration(self, mode: Mode) -> Calibration | PooledCalibration:
        """The calibration of the uncalibrated scores."""

    @abstractmethod
    def _predict(self, frame: Frame, columns: list[int], rows: tuple[int, int], read: int) -> Quantiles:
        """Expected values in scaled units of the rows (first, end), ``[rows, K]``; only the ``columns`` are used."""


def _columns(frame: Frame, names: Sequence[str]) -> list[int]:
    """The columns of ``names``."""
    column = {name: k for k, name in enumerate(frame.names)}
    return [column[name] for name in names]
