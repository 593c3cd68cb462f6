"""The detectors as an sktime estimator: ``from tsdiff_monitor.detectors.sktime import SktimeDetector``.

Follows https://www.sktime.net/en/stable/api_reference/detection.html and passes sktime's ``check_estimator``. Needs
sktime, which small machines leave out; nothing else in the package imports this module.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd

from tsdiff_monitor.timeseries.frame import Frame, Series

try:
    from sktime.detection.base import BaseDetector
except ImportError as error:
    raise ImportError("tsdiff_monitor.detectors.sktime needs sktime: pip install sktime") from error

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.protocol import Detector, Mode

__all__ = ["SktimeDetector"]

_EPOCH = pd.Timestamp(0, tz="UTC")
_STEP = pd.Timedelta("1min")


def __getattr__(name: str) -> Any:
    if name == "DiffusionDetector":
        warnings.warn(
            "tsdiff_monitor.detectors.sktime.DiffusionDetector is now SktimeDetector; import that name instead",
            DeprecationWarning,
            stacklevel=2,
        )
        return SktimeDetector
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class SktimeDetector(BaseDetector):  # type: ignore[misc]  # sktime has no types
    """Detects anomalous rows of a multivariate series with a conditional diffusion imputation model.

    ``predict`` gives the numbers of the rows whose score exceeds 1, ``transform_scores`` the score of every row
    (0 where a row holds no value at all), ``predict_scores`` those of the rows found.

    Parameters
    ----------
    model : dict, default=None
        Keys of the ``models`` section of the configuration, such as ``{"window": 32, "fit_steps": 200}``; with
        ``{"type": "baseline"}`` any other kind of detector. None: the defaults.
    alarms_per_week : float, default=1.0
        False events a week that are acceptable; scores are calibrated so that 1 is this limit.
    confirm_rows : int, default=2
        Rows in excess that make an event, for the calibration.
    mode : {"batch", "stream"}, default="batch"
        Context of a row's score: rows on both sides, or the rows before it alone.

    Attributes
    ----------
    detector_ : tsdiff_monitor.detectors.protocol.Detector
        The fitted detector.

    Notes
    -----
    An index of dates or periods with a regular frequency gives the time between rows; any other index counts as
    minutes. Rows must be in order and evenly spaced.

    Examples
    --------
    >>> from tsdiff_monitor.detectors.sktime import SktimeDetector  # doctest: +SKIP
    >>> found = SktimeDetector({"window": 32}).fit(history).predict(series)  # doctest: +SKIP
    """

    _tags: ClassVar[dict[str, Any]] = {
        "authors": "tsdiff-monitor developers",
        "maintainers": "tsdiff-monitor developers",
        "python_dependencies": ["torch", "safetensors"],
        "task": "anomaly_detection",
        "learning_type": "unsupervised",
        "capability:multivariate": True,
        "capability:missing_values": True,
        "capability:update": False,
        "X_inner_mtype": "pd.DataFrame",
        "fit_is_empty": False,
    }

    def __init__(
        self,
        model: Mapping[str, Any] | None = None,
        alarms_per_week: float = 1.0,
        confirm_rows: int = 2,
        mode: Mode = "batch",
    ) -> None:
        self.model = model
        self.alarms_per_week = alarms_per_week
        self.confirm_rows = confirm_rows
        self.mode: Mode = mode
        super().__init__()

    def _fit(self, X: pd.DataFrame, y: object = None) -> SktimeDetector:  # noqa: ARG002 - labels are never read
        from tsdiff_monitor.detectors.config import MODEL_TYPES, model_class
        from tsdiff_monitor.detectors.registry import fit_detector

        raw = dict(self.model or {})
        config = model_class(raw)
        if config is None:
            raise ValueError(f"there is no kind of model {raw['type']!r}; types: {', '.join(MODEL_TYPES)}")
        self.detector_: Detector = fit_detector(_frame(X), config.model_validate(raw), confirm_rows=self.confirm_rows)
        return self

    def _predict(self, X: pd.DataFrame) -> pd.Series:
        return pd.Series(np.flatnonzero(self._scores(X) > 1), dtype="int64")

    def _transform_scores(self, X: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"scores": self._scores(X)}, index=X.index)

    def _predict_scores(self, X: pd.DataFrame) -> pd.Series:
        scores = self._scores(X)
        return pd.Series(scores[scores > 1], dtype="float64")

    def _scores(self, X: pd.DataFrame) -> np.ndarray:
        frame = _frame(X)
        scores = self.detector_.score(frame, mode=self.mode, alarms_per_week=self.alarms_per_week).score
        return np.asarray(np.nan_to_num(scores, nan=0.0), dtype=np.float64)

    @classmethod
    def get_test_params(cls, parameter_set: str = "default") -> list[dict[str, Any]]:  # noqa: ARG003 - one set for all
        """Models small enough to be fit in a moment."""
        tiny = {"window": 8, "width": 16, "layers": 1, "fit_steps": 10}
        return [
            {"model": tiny},
            {"model": {**tiny, "seed": 1}, "alarms_per_week": 20.0, "confirm_rows": 1, "mode": "stream"},
        ]


def _frame(X: pd.DataFrame | pd.Series | np.ndarray) -> Frame:
    """The rows as a frame; columns are known by their names."""
    X = X.to_frame() if isinstance(X, pd.Series) else pd.DataFrame(X)
    series = tuple(Series(str(name)) for name in X.columns)
    start, step = _EPOCH, _STEP
    index = X.index.to_timestamp() if isinstance(X.index, pd.PeriodIndex) else X.index
    if isinstance(index, pd.DatetimeIndex) and len(index) > 1:
        steps = np.unique(np.diff(index.as_unit("ns").asi8))
        if len(steps) == 1 and steps[0] > 0:
            step = pd.Timedelta(int(steps[0]), unit="ns")
            start = index[0].tz_localize("UTC") if index.tz is None else index[0].tz_convert("UTC")
    return Frame(start, step, X.to_numpy(dtype=np.float32, na_value=np.nan), series)
