"""One monitor as configured: plain data, which every step of a tick or a fit takes, and which can be pickled."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

import pandas as pd

from tsdiff_monitor.config.monitors import MonitorConfig, QueryConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.plugins import ReadRequest
from tsdiff_monitor.scoring.rules import Range, Rule
from tsdiff_monitor.timeseries.frame import Group, Series

__all__ = ["Monitor"]


@dataclass(frozen=True)
class Monitor:
    """A monitor's name and everything that the user configured for it. ``max_catchup``: how far back missed rows are
    scored."""

    name: str
    config: MonitorConfig
    model: ModelConfig
    scheduler: SchedulerConfig
    routes: tuple[Route, ...] = ()
    max_catchup: timedelta = timedelta(days=1)

    @property
    def step(self) -> pd.Timedelta:
        """Distance between two rows."""
        return pd.Timedelta(self.config.step)

    @property
    def offset(self) -> pd.Timedelta:
        """The delay behind the present at which rows are read."""
        return pd.Timedelta(self.scheduler.offset)

    @property
    def has_recipients(self) -> bool:
        """True if its events can have any recipient."""
        return bool(self.config.notify or self.routes)

    def request(self, start: pd.Timestamp, end: pd.Timestamp, groups: Collection[Group] | None = None) -> ReadRequest:
        """The monitor's queries over ``start <= t < end``, of all groups or only of ``groups``."""
        queries = tuple(query.asked(name) for name, query in self.config.queries.items())
        only = None if groups is None else frozenset(groups)
        return ReadRequest(queries, start, end, self.step, tuple(self.config.groupby), only)

    def ranges(self, series: Sequence[Series]) -> list[Range | None]:
        """The ``data_range`` of each series' query."""
        queries = (self.config.queries.get(one.query) for one in series)
        return [None if query is None else query.data_range for query in queries]

    def rules(self, series: Sequence[Series]) -> dict[str, Rule]:
        """The detection rule of each series that has a query, by series name."""
        queries = ((one.name, self.config.queries.get(one.query)) for one in series)
        return {name: _rule(query) for name, query in queries if query is not None}

    def units(self, series: Sequence[Series]) -> dict[str, str]:
        """The unit of each series whose query has one, by series name."""
        queries = ((one.name, self.config.queries.get(one.query)) for one in series)
        return {name: query.unit for name, query in queries if query is not None and query.unit}


def _rule(query: QueryConfig) -> Rule:
    return Rule(query.detection_direction, query.min_dev_from_expected, query.min_rel_dev_from_expected)
