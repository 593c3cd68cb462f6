"""The configuration of ``type: baseline``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from tsdiff_monitor.detectors.settings import ModelSettings
from tsdiff_monitor.settings.durations import Duration

__all__ = ["BaselineModelConfig", "Method"]

Method = Literal["seasonal", "smoothing", "forecaster"]
"""The forecast that the residual is taken from."""

_ONLY_OF: Mapping[str, Method] = {"period": "seasonal", "forecaster": "forecaster", "parameters": "forecaster"}


class BaselineModelConfig(ModelSettings):
    """Residuals of simple forecasts, each metric from its own past: fit in seconds, for comparison and for a start."""

    type: Literal["baseline"] = "baseline"
    """The kind of model."""
    method: Method = "smoothing"
    """The forecast: `smoothing` (exponential smoothing), `seasonal` (the same around an STL profile of the period) or
    `forecaster` (one of sktime's, which must be installed)."""
    window: int = Field(default=64, ge=8, le=1024)
    """Rows a forecast is made from, without the newest eighth of them, so that an incident is not its own normal."""
    fit_window: Duration = timedelta(days=14)
    """Length of the history that a fit uses."""
    period: Literal["auto"] | Annotated[int, Field(ge=2)] = "auto"
    """Rows of the season (of `seasonal`); `auto` finds them by autocorrelation. Without a season, or with a history of
    fewer than two and a half periods or 20 windows, it is `smoothing`."""
    forecaster: str = "NaiveForecaster"
    """Class of the sktime forecaster (of `forecaster`), by its name."""
    parameters: Mapping[str, bool | int | float | str] = Field(default_factory=dict)
    """Arguments of the sktime forecaster (of `forecaster`), by name."""
    band: float = Field(default=0.98, gt=0, lt=1)
    """Share of the residuals of normal rows that the expected band covers."""

    @model_validator(mode="after")
    def _all_used(self) -> Self:
        for key, method in _ONLY_OF.items():
            default = type(self).model_fields[key].get_default(call_default_factory=True)
            if self.method != method and getattr(self, key) != default:
                raise ValueError(f"`{key}` has no effect with method {self.method!r}; leave it out, or use {method!r}")
        return self
