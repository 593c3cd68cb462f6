"""A monitor with the parts it works with: the object that the daemon, the commands and the backtest hold."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.batch import BatchScorer
from tsdiff_monitor.pipeline.detectors import RememberedModels
from tsdiff_monitor.pipeline.fit import fit_monitor
from tsdiff_monitor.pipeline.fitting import Fitter, LocalFitter, Progress
from tsdiff_monitor.pipeline.history import stored_history
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.parts import Parts
from tsdiff_monitor.pipeline.read import read_whole
from tsdiff_monitor.pipeline.results import FitResult, TickResult
from tsdiff_monitor.pipeline.score import Scorer
from tsdiff_monitor.pipeline.sinks import DirectSinks, Sinks
from tsdiff_monitor.pipeline.tick import tick
from tsdiff_monitor.plugins import Reader, Reading, ReadRequest, Writer
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["FitResult", "Pipeline", "TickResult"]


@dataclass(frozen=True)
class Pipeline:
    """One monitor at work. Holds no state of its own: that is in the store, so a crash at any point resumes.

    ``scorer``, ``fitter`` and ``sinks`` are those of this process when left out: batches, one fit after the other, and
    writing at once.
    """

    name: str
    monitor: MonitorConfig
    model: ModelConfig
    scheduler: SchedulerConfig
    reader: Reader
    store: Store
    models: ModelStore
    writers: Mapping[str, Writer] = field(default_factory=dict)
    routes: tuple[Route, ...] = ()
    max_catchup: timedelta = timedelta(days=1)
    scorer: Scorer | None = None
    fitter: Fitter = field(default_factory=LocalFitter)
    sinks: Sinks | None = None

    @property
    def spec(self) -> Monitor:
        """The monitor as plain data."""
        return Monitor(self.name, self.monitor, self.model, self.scheduler, self.routes, self.max_catchup)

    @property
    def parts(self) -> Parts:
        """The parts that one tick works with."""
        remembered = RememberedModels(self.models)
        return Parts(
            self.reader,
            self.store,
            self.models,
            remembered,
            self.scorer or BatchScorer(remembered),
            self.fitter,
            self.sinks if self.sinks is not None else DirectSinks(self.writers),
        )

    @property
    def step(self) -> pd.Timedelta:
        """Distance between two rows."""
        return self.spec.step

    @property
    def offset(self) -> pd.Timedelta:
        """The delay behind the present at which rows are read."""
        return self.spec.offset

    def request(self, start: pd.Timestamp, end: pd.Timestamp) -> ReadRequest:
        """The monitor's queries over ``start <= t < end``."""
        return self.spec.request(start, end)

    def read(self, request: ReadRequest) -> Reading:
        """Ask the source. Raises ``SourceError`` when it cannot answer, or leaves something out."""
        return read_whole(self.reader, self.name, request)

    def history(self, group: Group, frame: Frame) -> Frame:
        """The rows of ``frame`` that a fit may learn from."""
        return stored_history(self.spec, self.store, group, frame)

    def fit(
        self,
        now: pd.Timestamp,
        *,
        start: pd.Timestamp | None = None,
        spans: Mapping[Group, tuple[pd.Timestamp, pd.Timestamp]] | None = None,
        only_missing: bool = False,
        progress: Progress = lambda *_: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> FitResult:
        """:func:`~tsdiff_monitor.pipeline.fit.fit_monitor` of this monitor."""
        return fit_monitor(
            self.spec,
            reader=self.reader,
            models=self.models,
            store=self.store,
            fitter=self.fitter,
            now=now,
            start=start,
            spans=spans,
            only_missing=only_missing,
            progress=progress,
            clock=clock,
        )

    def tick(
        self,
        now: pd.Timestamp,
        *,
        since: pd.Timestamp | None = None,
        since_by_group: Mapping[Group, pd.Timestamp] | None = None,
        groups: Collection[Group] | None = None,
        cold_start: bool = False,
        absent: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> TickResult:
        """:func:`~tsdiff_monitor.pipeline.tick.tick` of this monitor."""
        return tick(
            self.spec,
            self.parts,
            now,
            since=since,
            since_by_group=since_by_group,
            groups=groups,
            cold_start=cold_start,
            absent=absent,
            clock=clock,
        )
