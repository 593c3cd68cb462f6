"""Rehearsals on rows with nothing in them but three metrics that move together, and one without values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

START = pd.Timestamp("2024-05-01T00:00:00Z")
STEP = pd.Timedelta("1min")
END = START + 2400 * STEP

MakePipeline = Callable[..., AbstractContextManager[Pipeline]]


def normal_frame(seed: int, rows: int = 2400) -> Frame:
    """Metrics with noise of a tenth of their wave; ``silent`` has no values."""
    random = np.random.default_rng(seed)
    wave = np.sin(np.arange(rows) / 40)
    columns = [(k + 1) * (10 + wave + random.normal(0, 0.1, rows)) for k in range(3)]
    values = np.stack([*columns, np.full(rows, np.nan)], axis=1)
    return Frame(START, STEP, values, tuple(Series(name, {}, "all") for name in ("cpu", "io", "net", "silent")))


def group(name: str) -> Group:
    return (("host", name),)


@pytest.fixture
def make_pipeline(tmp_path: Path) -> MakePipeline:
    """A monitor of some hosts with a baseline, which takes no time to fit."""

    @contextmanager
    def make(reader: Any = None, model: ModelConfig | None = None, **monitor: Any) -> Iterator[Pipeline]:
        settings = {
            "reader": "memory",
            "scheduler": "often",
            "step": "1m",
            "groupby": ["host"],
            "alarms_per_week": 20.0,
            "queries": {"all": "*"},
            **monitor,
        }
        with Store(tmp_path / "work" / "state.sqlite") as store:
            yield Pipeline(
                name="hosts",
                monitor=MonitorConfig.model_validate(settings),
                model=model or BaselineModelConfig(window=16),
                scheduler=SchedulerConfig.model_validate({"infer_every": "1m", "offset": "0s"}),
                reader=reader or MemoryReader({group("a"): normal_frame(0), group("b"): normal_frame(1)}),
                store=store,
                models=ModelStore(tmp_path / "models-rehearse"),
            )

    return make
