"""Pipelines over frames in memory, with real models that are fit once for all tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group

STEP = pd.Timedelta("10min")
FITTED, REPLAYED = 300, 150  # rows: about two days of history, then one day
START = pd.Timestamp("2024-05-01T00:00:00Z")
GROUPS: tuple[Group, ...] = ((("instance", "web-1"),), (("instance", "web-2"),))
MODEL = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=30, samples=8, fit_window=STEP * FITTED)
RHYTHM = SchedulerConfig(infer_every=timedelta(minutes=10), offset=timedelta(0))

MakePipeline = Callable[..., Pipeline]


def damaged(frame: Frame, first: int, last: int, factor: float = 4.0) -> Frame:
    """The frame with every metric far off in some rows."""
    values = frame.values.copy()
    values[first:last] *= factor
    return Frame(frame.start, frame.step, values, frame.series)


@pytest.fixture
def frames() -> dict[Group, Frame]:
    """Two groups, each with an incident of its own on the last day."""
    rows = FITTED + REPLAYED
    made = {
        group: example_frame(rows, step="10min", group=group, seed=seed) for seed, group in enumerate(GROUPS, start=1)
    }
    return {
        GROUPS[0]: damaged(made[GROUPS[0]], FITTED + 50, FITTED + 58),
        GROUPS[1]: damaged(made[GROUPS[1]], FITTED + 100, FITTED + 107),
    }


@pytest.fixture
def history_end() -> pd.Timestamp:
    return START + STEP * FITTED


@pytest.fixture
def end() -> pd.Timestamp:
    return START + STEP * (FITTED + REPLAYED)


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the models of both groups, fit on histories without incidents."""
    folder = tmp_path_factory.mktemp("fitted")
    frames = {
        group: example_frame(FITTED, step="10min", group=group, seed=seed) for seed, group in enumerate(GROUPS, start=1)
    }
    with Store(folder / "state.sqlite") as store:
        pipeline = _pipeline(MemoryReader(frames), store, ModelStore(folder / "models"))
        assert len(pipeline.fit(START + STEP * FITTED).fitted) == len(GROUPS)
    return folder / "models"


@pytest.fixture
def make_pipeline(tmp_path: Path, fitted: Path) -> Iterator[MakePipeline]:
    """Each pipeline has a store of its own unless it is given one, and models fit before unless ``bare``."""
    stores: list[Store] = []

    def make(reader: Any, *, bare: bool = False, store: Store | None = None, **others: Any) -> Pipeline:
        if store is None:
            store = Store(tmp_path / f"state-{len(stores)}.sqlite")
            stores.append(store)
        folder = tmp_path / "models"
        if not bare and not folder.exists():
            shutil.copytree(fitted, folder)
        return _pipeline(reader, store, ModelStore(folder), **others)

    yield make
    for store in stores:
        store.close()


def _pipeline(
    reader: Any,
    store: Store,
    models: ModelStore,
    *,
    monitor: Mapping[str, Any] | None = None,
    model: ModelConfig = MODEL,
    **others: Any,
) -> Pipeline:
    raw: dict[str, Any] = {
        "reader": "memory",
        "scheduler": "often",
        "step": "10m",
        "groupby": ["instance"],
        "alarms_per_week": 20.0,
        "queries": {"all": "*"},
        "notify": ["inbox"],
        **(monitor or {}),
    }
    return Pipeline(
        name="hosts",
        monitor=MonitorConfig.model_validate(raw),
        model=model,
        scheduler=RHYTHM,
        reader=reader,
        store=store,
        models=models,
        **others,
    )


@pytest.fixture
def scores_of() -> Callable[[Any], dict[tuple[Group, pd.Timestamp], float]]:
    """A memory writer's scores by group and time, NaN left out."""

    def read(writer: Any) -> dict[tuple[Group, pd.Timestamp], float]:
        return {(group, time): score for (_, group, time), score in writer.rows.items() if not np.isnan(score)}

    return read
