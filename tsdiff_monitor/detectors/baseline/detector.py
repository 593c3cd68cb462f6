"""A baseline behind the same door as the product's detector.

The score of a row is the mean over metrics of |value - forecast|, each in units of its own mean on held-out rows,
calibrated to the alarm rate. Rows are forecast from the rows before them, in both scoring modes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from tsdiff_monitor.detectors.baseline.card import CARD_VERSION, BaselineCard, describe_metrics, load_card, save_card
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.fitting import fit_law
from tsdiff_monitor.detectors.cards import identity
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.scoring.attribution import attribute
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.rules import Rule, disregarded
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected, Scores
from tsdiff_monitor.timeseries.selection import aligned

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.protocol import Mode

__all__ = ["LEAST_ROWS", "BaselineDetector"]

LEAST_ROWS = 32
"""Rows with a value that a fit needs."""
_BURST = 10.0
"""A metric's contribution grows as its logarithm beyond this: a scale learnt from an hour is easily ten times too
small, and one such metric must not open an event by itself at every move."""


@dataclass(frozen=True, eq=False)
class BaselineDetector:
    """A fitted baseline of one group. Immutable; the same rows always give the same scores."""

    card: BaselineCard
    scaler: Scaler

    @property
    def config(self) -> BaselineModelConfig:
        """The configuration of the fit."""
        return self.card.config

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of the fit, in its order."""
        return tuple(metric.name for metric in self.card.metrics)

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        return self.config.window

    @property
    def step_seconds(self) -> float:
        """Seconds between rows."""
        return self.card.step_seconds

    @cached_property
    def identity(self) -> str:
        """Stands for this fit; the same after a restart."""
        return identity(self.card)

    @classmethod
    def fit(
        cls,
        frame: Frame,
        config: BaselineModelConfig | None = None,
        *,
        confirm_rows: int = 2,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        clock: Callable[[], float] = time.monotonic,  # noqa: ARG003 - it takes no time worth a budget
    ) -> Self:
        """Fit on ``frame``; a part of it is held out for normalising and calibrating.

        Raises :class:`DataError` for fewer than 32 rows with a value.
        """
        config = config or BaselineModelConfig()
        rows = int(frame.observed.any(1).sum())
        if rows < LEAST_ROWS:
            raise DataError(f"fitting a baseline needs at least {LEAST_ROWS} rows, but there are {rows}; wait for more")
        progress(0, 1)
        scaler = Scaler.fit(frame.values)
        scaled = scaler.transform(frame.values)
        clock_rows = _clock(frame)
        law, held_out = fit_law(scaled, clock_rows, frame.step, config)
        parts = []
        for begin, end in held_out:
            context = max(begin - config.window, 0)
            ahead, _ = law.forecast(scaled[context:end], clock_rows[context:end], begin - context)
            parts.append(scaled[begin:end] - ahead)
        residual = np.concatenate(parts)
        metrics = describe_metrics(frame.names, scaler, residual, config.band)
        normaliser = np.array([metric.normaliser for metric in metrics])
        stretches = [_row_score(_contribution(part, normaliser), ~scaler.empty) for part in parts]
        card = BaselineCard(
            schema_version=CARD_VERSION,
            code_version=__version__,
            kind=config.type,
            config=config,
            metrics=metrics,
            law=law,
            calibration=Calibration.fit(
                stretches, confirm_rows=confirm_rows, follow_seconds=frame.step.total_seconds()
            ),
            widening=_widening(rows),
            fit_start=frame.start.isoformat(),
            fit_end=frame.end.isoformat(),
            fit_rows=len(frame),
            step_seconds=frame.step.total_seconds(),
        )
        progress(1, 1)
        return cls(card, scaler)

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",  # noqa: ARG002 - forecasts look back in both
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Score the rows from ``first`` on; earlier rows are context. ``rules`` are by series name.

        Raises :class:`SchemaMismatchError` when the frame's metrics or its step are not those of the fit.
        """
        given, frame = frame, aligned(frame, self.names, self.step_seconds)
        first = min(first, len(frame))
        scaled = self.scaler.transform(frame.values)
        ahead, support = self.card.law.forecast(scaled, _clock(frame), first)
        contribution = blamed = _contribution(scaled[first:] - ahead, self._sizes(support))
        applied = [(rules or {}).get(name, Rule()) for name in frame.names]
        if not all(rule.trivial for rule in applied):
            ignored = disregarded(applied, frame.values[first:], self.scaler.inverse(ahead))
            contribution = np.where(ignored, np.minimum(contribution, 1.0), contribution)  # as of normal data
            blamed = np.where(ignored, 0.0, blamed)
        calibration = self.card.calibration
        threshold = self.card.widening * calibration.threshold(alarms_per_week, self.step_seconds)
        column = {name: k for k, name in enumerate(frame.names)}
        attribution = attribute(blamed)[:, [column[name] for name in given.names]]
        score = _row_score(contribution, ~self.scaler.empty) / threshold
        normal = None if calibration.normal is None else calibration.normal / threshold
        return Scores(given.times[first:], given.series, score, attribution, normal, self.identity)

    def expected(
        self,
        frame: Frame,
        names: Sequence[str],
        *,
        first: int = 0,
        last: int | None = None,
        read: int = 16,  # noqa: ARG002 - rows do not share work here
    ) -> Expected:
        """What the ``names`` were forecast to be in rows ``first <= t < last``, from their own past.

        Bands are quantiles of the residuals on held-out rows; they widen where the past has gaps. ``read`` changes
        nothing: every row is forecast from the rows before it. Raises :class:`SchemaMismatchError` like :meth:`score`,
        and :class:`DataError` for a name the frame does not have.
        """
        series = frame.select(names).series
        frame = aligned(frame, self.names, self.step_seconds)
        last = len(frame) if last is None else min(last, len(frame))
        first = min(first, last)
        scaled = self.scaler.transform(frame.rows(0, last).values)
        ahead, support = self.card.law.forecast(scaled, _clock(frame)[:last], first)
        wider = self._sizes(support) / self._sizes(np.ones_like(support))
        offsets = ([metric.lower for metric in self.card.metrics], [metric.upper for metric in self.card.metrics])
        column = {name: k for k, name in enumerate(frame.names)}
        middle, lower, upper = (
            self.scaler.inverse(ahead + wider * np.array(offset))[:, [column[name] for name in names]]
            for offset in (0.0, *offsets)
        )
        return Expected(frame.times[first:last], series, middle, lower, upper)

    def save(self, directory: Path) -> None:
        """Write the card; a crash in between leaves the previous model in place."""
        save_card(directory, self.card)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
        card = load_card(directory)
        return cls(card, card.scaler())

    def _sizes(self, support: np.ndarray) -> np.ndarray:
        """How large a residual of a normal row is, ``[T, K]``: the less of the past is known, the more like 1.

        That is the standard deviation of the history: with nothing else known, its mean is the forecast.
        """
        known = np.array([metric.normaliser for metric in self.card.metrics])
        return np.asarray(support * known + (1 - support) * np.maximum(known, 1.0))


def _clock(frame: Frame) -> np.ndarray:
    """Each row's number since the epoch ``[T]``: the same row has the same one in every frame."""
    return frame.start.value // frame.step.value + np.arange(len(frame), dtype=np.int64)


def _contribution(residual: np.ndarray, normaliser: np.ndarray) -> np.ndarray:
    """Residuals ``[T, K]`` in units of each metric's own size, of which the largest are tamed; NaN where missing."""
    size = np.abs(residual) / normaliser
    return np.asarray(np.where(size > _BURST, _BURST * (1 + np.log(np.maximum(size, _BURST) / _BURST)), size))


def _row_score(contribution: np.ndarray, active: np.ndarray) -> np.ndarray:
    """The mean ``[T]`` of the ``active[K]`` metrics' contributions ``[T, K]``, a missing cell counting as normal (1).

    NaN in a row without any value: no data is never a verdict.
    """
    used = contribution[:, active]
    missing = np.isnan(used)
    mean = np.where(missing, 1.0, used).sum(1) / max(used.shape[1], 1)
    return np.asarray(np.where(missing.all(1), np.nan, mean))


def _widening(rows: int) -> float:
    """How much higher than calibrated the threshold is after a fit on so many rows: twice after the least of them.

    What the next days bring is not all in the first hour; measured on the week that followed (docs/operations.md).
    """
    return 1.0 + LEAST_ROWS / rows
