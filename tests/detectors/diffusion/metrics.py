"""Metrics that move together, and how the detector of these tests is fit to them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.timeseries.frame import Frame, Series

__all__ = ["CONFIG", "FIT_ROWS", "QUICK", "START", "STEP", "frame_of", "made_values"]

START, STEP = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1min")
CONFIG = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=400, samples=16)
QUICK = CONFIG.model_copy(update={"fit_steps": 30})
FIT_ROWS, ROWS = 4000, 4400


def made_values(rows: int = ROWS, metrics: int = 4) -> np.ndarray:
    """Metrics driven by two shared waves and a shared AR(1), in units of their own, with a little noise."""
    rng = np.random.default_rng(0)
    t = np.arange(rows)
    drift = np.zeros(rows)
    for i in range(1, rows):
        drift[i] = 0.9 * drift[i - 1] + 0.4 * rng.normal()
    shared = np.stack([np.sin(t / 6), np.cos(t / 15), drift], 1)
    return np.asarray(10 + shared @ rng.normal(size=(3, metrics)) + 0.1 * rng.normal(size=(rows, metrics)))


def frame_of(values: np.ndarray, step: pd.Timedelta = STEP) -> Frame:
    """The metrics m0, m1 and so on, for any rows given, from :data:`START` on."""
    return Frame(START, step, values, tuple(Series(f"m{k}") for k in range(values.shape[1])))
