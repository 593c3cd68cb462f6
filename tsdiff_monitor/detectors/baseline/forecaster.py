"""Any sktime forecaster, one per metric, fit anew for every few rows.

https://www.sktime.net/en/stable/api_reference/forecasting.html. Rows are forecast in blocks that begin at multiples of
their length since the epoch, from the rows before the block: what a row's forecast rests on does not depend on how rows
are handed over.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Self

import numpy as np

from tsdiff_monitor.detectors.baseline.smoothing import hidden_rows
from tsdiff_monitor.errors import DataError
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.settings.suggest import did_you_mean
from tsdiff_monitor.system.extras import missing_package

__all__ = ["Forecaster"]


class Forecaster(StrictModel):
    """A forecaster's name and arguments; it has no state, for it is fit where it forecasts."""

    method: Literal["forecaster"] = "forecaster"
    window: int
    name: str
    parameters: Mapping[str, bool | int | float | str]
    metrics: int
    """K."""

    @classmethod
    def fit(cls, scaled: np.ndarray, window: int, name: str, parameters: Mapping[str, Any]) -> Self:
        """Try it on the newest rows. Raises :class:`DataError` when there is no such forecaster, or it cannot do it."""
        self = cls(window=window, name=name, parameters=parameters, metrics=scaled.shape[1])
        builder, rows = self._build(), hidden_rows(window)
        newest = scaled[-(window - rows) :]
        for column in newest[:, np.nan_to_num(np.ptp(newest, axis=0)) > 0].T[:1]:
            try:
                _predicted(builder, column, rows)
            except Exception as error:
                raise DataError(f"sktime's {name} cannot forecast this history: {error}") from None
        return self

    def forecast(self, scaled: np.ndarray, clock: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
        """As ``Smoothing.forecast``, at some milliseconds per block and metric.

        Where the forecaster fails, as some do on constant values, the mean of the rows is the forecast.
        """
        T, K = scaled.shape
        block = hidden_rows(self.window)
        out, support = np.zeros((max(T - first, 0), K)), np.zeros((max(T - first, 0), K))
        if first >= T:
            return out, support
        builder = self._build()
        starts = np.arange(first - clock[first] % block, T, block)
        for start in starts:
            rows = slice(max(start, first), min(start + block, T))
            past = scaled[max(start - self.window + block, 0) : max(start, 0)]
            at = slice(rows.start - first, rows.stop - first)
            support[at] = (~np.isnan(past)).sum(0) / (self.window - block)
            for k in range(K):
                out[at, k] = _ahead(builder, past[:, k], block)[rows.start - start : rows.stop - start]
        return out, support

    def _build(self) -> Any:
        known = _forecasters()
        if self.name not in known:
            raise DataError(
                f"sktime has no forecaster {self.name!r}; {did_you_mean(self.name, sorted(known), 'forecasters')}"
            )
        try:
            return known[self.name](**self.parameters)
        except (TypeError, ValueError, ImportError) as error:
            raise DataError(f"sktime's {self.name} cannot be made of these `parameters`: {error}") from None


@cache
def _forecasters() -> Mapping[str, Any]:
    """sktime's forecasters by name."""
    if missing := missing_package("the method `forecaster`", "sktime"):
        raise DataError(missing)
    from sktime.registry import all_estimators

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(all_estimators("forecaster"))


def _ahead(builder: Any, past: np.ndarray, rows: int) -> np.ndarray:
    """The next ``rows`` values after ``past[T]``; gaps in it are filled by the value before."""
    seen = np.flatnonzero(~np.isnan(past))
    if not seen.size:
        return np.zeros(rows)
    at = np.searchsorted(seen, np.arange(seen[0], len(past)), side="right") - 1
    filled = past[seen[at]].astype(np.float64)
    usual = np.full(rows, filled.mean())
    if np.ptp(filled) == 0:
        return usual
    try:
        ahead = _predicted(builder, filled, rows)
    except Exception:  # third-party code, on data it may not have been made for
        return usual
    return np.where(np.isfinite(ahead), ahead, usual)


def _predicted(builder: Any, past: np.ndarray, rows: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # thousands of small fits: a warning of one of them helps no one
        return np.ravel(builder.clone().fit(past, fh=np.arange(1, rows + 1)).predict())
