"""The cost of scoring and fitting: seconds, measured in this process on one frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.methods.product import as_frame
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.csdi.errors import CsdiModel
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["Clock", "fit", "pipeline_tick_seconds", "reference_row_seconds", "row_seconds", "synthetic", "tick_seconds"]

Clock = Callable[[], float]


def synthetic(rows: int, metrics: int, seed: int = 0) -> Frame:
    """One-minute rows of metrics that share three slow waves and a daily one, with noise of their own."""
    rng = np.random.default_rng(seed)
    minutes = np.arange(rows)[:, None]
    periods = np.array([1440.0, 360.0, 97.0])
    waves = np.sin(2 * np.pi * (minutes / periods + rng.random(3)))
    noise = rng.normal(0, 0.2, (rows, metrics)).astype(np.float32)
    return as_frame((waves @ rng.normal(0, 1, (3, metrics))).astype(np.float32) + noise, 60.0)


def fit(
    frame: Frame, config: DiffusionModelConfig, clock: Clock = time.perf_counter
) -> tuple[DiffusionDetector, float]:
    """A fitted detector and the seconds it took."""
    began = clock()
    detector = DiffusionDetector.fit(frame, config)
    return detector, clock() - began


def row_seconds(
    detector: DiffusionDetector, frame: Frame, mode: Mode, *, repeats: int = 3, clock: Clock = time.perf_counter
) -> float:
    """Seconds per row when a whole frame is scored at once: the best of ``repeats``."""
    return min(_timed(lambda: detector.score(frame, mode=mode), clock) for _ in range(repeats)) / len(frame)


def tick_seconds(
    detector: DiffusionDetector, frame: Frame, *, ticks: int = 100, clock: Clock = time.perf_counter
) -> float:
    """Median seconds of scoring one new row of one group, as live data comes, by the detector alone."""
    window = detector.window

    def tick(row: int) -> None:
        detector.score(frame.rows(row - window, row + 1), first=window, mode="stream")

    rows = range(len(frame) - ticks, len(frame))
    tick(rows[0])  # the first call prepares what later ones reuse
    return float(np.median([_timed(lambda row=row: tick(row), clock) for row in rows]))  # type: ignore[misc]


def pipeline_tick_seconds(
    detector: DiffusionDetector, frame: Frame, folder: Path, *, ticks: int = 50, clock: Clock = time.perf_counter
) -> float:
    """Median seconds of one tick of a monitor with one group: read, score, event logic and the store's transaction.

    The reader answers from memory: what a source takes to answer is its own. ``folder`` receives store and model.
    """
    models = ModelStore(folder / "models")
    models.put("speed", (), detector, "fit for the benchmark")
    step = frame.step
    with Store(folder / "state.sqlite") as store:
        pipeline = Pipeline(
            name="speed",
            monitor=MonitorConfig.model_validate(
                {"reader": "memory", "scheduler": "each", "step": step.to_pytimedelta(), "queries": {"all": "*"}}
            ),
            model=detector.config,
            scheduler=SchedulerConfig(infer_every=step.to_pytimedelta(), offset=timedelta(0)),
            reader=MemoryReader({(): frame}),
            store=store,
            models=models,
        )
        times = frame.times[-ticks - 1 :] + step

        def tick(now: pd.Timestamp) -> None:
            done = pipeline.tick(now)
            if done.errors or done.rows != 1:
                raise RuntimeError(f"a tick scored {done.rows} rows, errors: {done.errors}")

        tick(times[0])
        return float(np.median([_timed(lambda now=now: tick(now), clock) for now in times[1:]]))  # type: ignore[misc]


def reference_row_seconds(frame: Frame, *, windows: int = 2, clock: Clock = time.perf_counter) -> float:
    """Seconds per row of the reference mode in batch, extrapolated from ``windows`` of its windows.

    Windows overlap by half, so each stands for half a window of rows. The network is not fit: what it has learned does
    not change what a row costs.
    """
    config = CsdiReferenceConfig()
    model = CsdiModel.build(len(frame.series), config)
    half = config.window // 2
    scaled = Scaler.fit(frame.values).transform(frame.values)[: half * (windows + 1)]
    return _timed(lambda: model.errors(scaled, first=0, mode="batch"), clock) / (half * windows)


def _timed(call: Callable[[], object], clock: Clock) -> float:
    began = clock()
    call()
    return clock() - began
