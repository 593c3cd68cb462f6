"""A whole assembly in memory: fake readers and a fake notifier around the real store, models and pipelines."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.app.build import Assembly
from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Notifier, Reader
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, MemoryNotifier, example_frame
from tsdiff_monitor.timeseries.frame import Frame

GROUP = (("instance", "web-1"),)
ROWS, FITTED = 300, 240
START = pd.Timestamp("2024-05-01T00:00:00Z")
MODEL = DiffusionModelConfig(window=16, width=32, layers=1, fit_steps=20, fit_window=timedelta(minutes=FITTED))
RHYTHM = SchedulerConfig(infer_every=timedelta(minutes=1), offset=timedelta(0))


class MakeAssembly(Protocol):
    def __call__(
        self,
        readers: Mapping[str, Reader],
        *,
        notifier: Notifier | None = None,
        notifiers: Mapping[str, Notifier] | None = None,
        threads: bool = False,
        rhythm: SchedulerConfig = RHYTHM,
        fitted: Path | None = None,
        model: DiffusionModelConfig = MODEL,
    ) -> Assembly: ...


def incident_frame() -> Frame:
    """Five hours of minutes; from 04:20 to 04:30 every metric is far off."""
    frame = example_frame(ROWS)
    values = frame.values.copy()
    values[260:270] *= 5
    return Frame(frame.start, frame.step, values.astype(np.float32), frame.series)


@pytest.fixture
def frame() -> Frame:
    return incident_frame()


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the model of the monitor ``hosts``, fit once for all tests."""
    folder = tmp_path_factory.mktemp("fitted")
    ModelStore(folder).put("hosts", GROUP, DiffusionDetector.fit(incident_frame().rows(0, FITTED), MODEL), "")
    return folder


@pytest.fixture
def clock() -> FakeClock:
    """Stands at the end of the history to fit on."""
    return FakeClock((START + pd.Timedelta(minutes=FITTED)).timestamp())


@pytest.fixture
def make_assembly(tmp_path: Path, clock: FakeClock) -> Iterator[MakeAssembly]:
    """One monitor per reader, which all notify ``inbox``; ``fitted`` is a folder of models to begin with.

    With ``threads``, notifiers have their own, and deadlines follow real time.
    """
    made: list[Assembly] = []

    def make(
        readers: Mapping[str, Reader],
        *,
        notifier: Notifier | None = None,
        notifiers: Mapping[str, Notifier] | None = None,
        threads: bool = False,
        rhythm: SchedulerConfig = RHYTHM,
        fitted: Path | None = None,
        model: DiffusionModelConfig = MODEL,
    ) -> Assembly:
        folder = tmp_path / "data"
        if fitted is not None:
            shutil.copytree(fitted, folder / "models")
        store = Store(folder / "state.sqlite", now=clock)
        models = ModelStore(folder / "models")
        raw: dict[str, Any] = {
            "scheduler": "minutely",
            "step": "1m",
            "groupby": ["instance"],
            "alarms_per_week": 20.0,
            "queries": {"all": "*"},
            "notify": ["inbox"],
        }
        monitors = {name: MonitorConfig.model_validate({"reader": name, **raw}) for name in readers}
        config = Config(
            file="monitor.yml",
            settings=Settings(),
            readers={},
            writers={},
            notifiers={},
            models={"default": model},
            schedulers={"minutely": rhythm},
            monitors=monitors,
        )
        pipelines = {
            name: Pipeline(name, monitor, model, rhythm, readers[name], store, models)
            for name, monitor in monitors.items()
        }
        notifiers = notifiers or {"inbox": notifier or MemoryNotifier()}
        turns, timer = Turns(threads=threads), time.monotonic if threads else clock
        dispatcher = Dispatcher(store, notifiers, now=clock, timer=timer, random=random.Random(0), turns=turns)
        resender = AlertResender(store, notifiers, now=clock, timer=timer, turns=turns)
        assembly = Assembly(config, store, models, readers, {}, notifiers, pipelines, dispatcher, resender)
        made.append(assembly)
        return assembly

    yield make
    for assembly in made:
        assembly.store.close()
