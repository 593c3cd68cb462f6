"""The parts that a monitor works with."""

from __future__ import annotations

from dataclasses import dataclass

from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.detectors import StoredModels
from tsdiff_monitor.pipeline.fitting import Fitter
from tsdiff_monitor.pipeline.score import Scorer
from tsdiff_monitor.pipeline.sinks import Sinks
from tsdiff_monitor.plugins import Reader
from tsdiff_monitor.store.store import Store

__all__ = ["Parts"]


@dataclass(frozen=True)
class Parts:
    """A reader, the state, models, and the executors of one monitor."""

    reader: Reader
    store: Store
    models: ModelStore
    remembered: StoredModels
    """The models of one tick: a group has the same detector from its choice to its message, also when it is fit."""
    scorer: Scorer
    fitter: Fitter
    sinks: Sinks
