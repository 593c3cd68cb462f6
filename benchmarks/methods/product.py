"""This project's own detectors, through the interface that the pipeline uses, with their default configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.methods.base import Method, Scorer, Setting

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.protocol import Mode
    from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["METHODS", "as_frame"]


def as_frame(values: np.ndarray, step_seconds: float) -> Frame:
    """Rows ``[T, K]`` as a frame that starts at the epoch."""
    import pandas as pd

    from tsdiff_monitor.timeseries.frame import Frame, Series

    series = tuple(Series(f"m{k}") for k in range(values.shape[1]))
    return Frame(pd.Timestamp(0, tz="UTC"), pd.Timedelta(seconds=step_seconds), values, series)


def _detector(mode: Mode, kind: str, **options: Any) -> Callable[[np.ndarray, Setting], Scorer]:
    """Fits a model of type ``kind``; a configuration that has a seed gets the setting's."""

    def fit(train: np.ndarray, setting: Setting) -> Scorer:
        from tsdiff_monitor.detectors.config import MODEL_TYPES
        from tsdiff_monitor.detectors.registry import fit_detector

        model: Any = MODEL_TYPES[kind]
        seed = {"seed": setting.seed} if "seed" in model.model_fields else {}
        detector = fit_detector(as_frame(train, setting.step_seconds), model(**seed, **options))
        return lambda test: detector.score(as_frame(test, setting.step_seconds), mode=mode).score

    return fit


METHODS = {
    "diffusion": Method(
        "the detector as `score` runs it, with context from both sides", _detector("batch", "diffusion"), seeded=True
    ),
    "diffusion_stream": Method(
        "the detector as the daemon runs it: rows before only", _detector("stream", "diffusion"), seeded=True
    ),
    "diffusion_reconstruction": Method(
        "its reconstruction score alone", _detector("batch", "diffusion", score="reconstruction"), seeded=True
    ),
    "diffusion_density": Method(
        "its density score alone", _detector("batch", "diffusion", score="density"), seeded=True
    ),
    "diffusion_two_way": Method(
        "it with the two-way network", _detector("batch", "diffusion", network="two_way"), seeded=True
    ),
    "cold_start": Method(
        "what scores before there is a model: exponential smoothing",
        _detector("stream", "baseline", method="smoothing"),
    ),
    "cold_start_seasonal": Method("the same around an STL profile", _detector("stream", "baseline", method="seasonal")),
    "csdi_reference": Method(
        "CSDI and ImDiffusion as published: hours for each series", _detector("batch", "csdi_reference"), seeded=True
    ),
}
