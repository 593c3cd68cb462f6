"""A baseline behind the interface of all detectors.

The score of a row is the mean over metrics of |value - forecast|, each in units of its own mean on held-out rows,
calibrated to the alarm rate. Rows are forecast from the rows before them, in both scoring modes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from tsdiff_monitor.detectors.baseline.card import BaselineCard, describe_metrics, load_card, save_card
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.baseline.fitting import fit_forecaster
from tsdiff_monitor.detectors.fitted import FittedDetector, Quantiles
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.rules import Rule, discounted, disregarded
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["LEAST_ROWS", "BaselineDetector"]

LEAST_ROWS = 32
"""Rows with a value that a fit needs."""
_BURST = 10.0
"""A metric's contribution grows as its logarithm beyond this: a scale learnt from an hour is easily ten times too
small, and one such metric must not open an event by itself at every move."""


@dataclass(frozen=True, eq=False)
class BaselineDetector(FittedDetector[BaselineCard]):
    """A fitted baseline of one group. Immutable; the same rows always give the same scores.

    Expected values are forecasts from a metric's own past, each row from the rows before it. Bands are quantiles of the
    residuals on held-out rows, and widen where the past has gaps.
    """

    @property
    def config(self) -> BaselineModelConfig:
        """The configuration of the fit."""
        return self.card.config

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
        forecaster, held_out = fit_forecaster(scaled, clock_rows, frame.step, config)
        parts = []
        for begin, end in held_out:
            context = max(begin - config.window, 0)
            ahead, _ = forecaster.forecast(scaled[context:end], clock_rows[context:end], begin - context)
            parts.append(scaled[begin:end] - ahead)
        residual = np.concatenate(parts)
        metrics = describe_metrics(frame.names, scaler, residual, config.band)
        normaliser = np.array([metric.normaliser for metric in metrics])
        stretches = [_row_score(_contribution(part, normaliser), ~scaler.empty) for part in parts]
        card = BaselineCard.of_fit(
            frame, config, metrics,
            forecaster=forecaster,
            calibration=Calibration.fit(
                stretches, confirm_rows=confirm_rows, follow_seconds=frame.step.total_seconds()
            ),
            widening=_widening(rows),
        )  # fmt: skip
        progress(1, 1)
        return cls(card, scaler)

    def threshold(self, mode: Mode, alarms_per_week: float) -> float:
        """The uncalibrated score that counts as 1 at so many allowed ``alarms_per_week``."""
        return self.card.widening * super().threshold(mode, alarms_per_week)

    def _judge(self, frame: Frame, first: int, mode: Mode, rules: list[Rule]) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG002 - forecasts look back in both modes
        scaled = self.scaler.transform(frame.values)
        ahead, support = self.card.forecaster.forecast(scaled, _clock(frame), first)
        contribution = blamed = _contribution(scaled[first:] - ahead, self._sizes(support))
        if rules:
            ignored = disregarded(rules, frame.values[first:], self.scaler.inverse(ahead))
            contribution, blamed = discounted(contribution, ignored)
        return _row_score(contribution, ~self.scaler.empty), blamed

    def _calibration(self, mode: Mode) -> Calibration:  # noqa: ARG002
        return self.card.calibration

    def _predict(self, frame: Frame, columns: list[int], rows: tuple[int, int], read: int) -> Quantiles:  # noqa: ARG002 - rows do not share work
        first, last = rows
        scaled = self.scaler.transform(frame.rows(0, last).values)
        ahead, support = self.card.forecaster.forecast(scaled, _clock(frame)[:last], first)
        wider = self._sizes(support) / self._sizes(np.ones_like(support))
        lower = np.array([metric.lower for metric in self.card.metrics])
        upper = np.array([metric.upper for metric in self.card.metrics])
        return ahead, ahead + wider * lower, ahead + wider * upper

    def save(self, directory: Path) -> None:
        """Write the card; a crash in between leaves the previous model in place."""
        save_card(directory, self.card)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
        card = load_card(directory)
        return cls(card, card.scaler())

    def _sizes(self, support: np.ndarray) -> np.ndarray:
        """Usual size of a normal row's residual ``[T, K]``: the less of the past is known, the closer to 1.

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
    """Factor of the calibrated threshold after a fit on so many rows: 2 after the least of them.

    The first hour does not hold all that the next days bring; measured on the week that followed (docs/operations.md).
    """
    return 1.0 + LEAST_ROWS / rows
