"""A reader that a stranger might write: the seconds since the epoch, and nothing of tsdiff-monitor's insides."""

from __future__ import annotations

import numpy as np

from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, Reading, ReadRequest
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.timeseries.frame import Series, from_samples


class CounterReader:
    """Reads ``t mod expr`` for every query."""

    class Config(StrictModel):
        """A counter."""

        room: str = "hall"
        """The counter's room, its only label."""
        running: bool = True
        """True if the counter works."""

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config

    def read(self, request: ReadRequest) -> Reading:
        if not self._config.running:
            raise SourceError("the counter stands still; wind it up", reason="stopped")
        labels = {"room": self._config.room}
        times = np.arange(request.start.timestamp() // 1, request.end.timestamp() // 1).astype(np.int64)
        samples = [
            (Series(query.name, labels, query.name), times * 10**9, (times % int(query.expr)).astype(np.float64))
            for query in request.queries
        ]
        if not len(times):
            return Reading({})
        frame = from_samples(samples, step=request.step, start=request.start, end=request.end)
        return Reading({tuple((label, labels[label]) for label in sorted(request.groupby)): frame})
