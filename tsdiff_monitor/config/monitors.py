"""The ``monitors`` section: what is watched, how often, and who is notified."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import pandas as pd
from pydantic import ConfigDict, Field, field_validator, model_validator

from tsdiff_monitor.events.calendars import CalendarEntry
from tsdiff_monitor.events.policy import EventPolicy
from tsdiff_monitor.plugins import Query
from tsdiff_monitor.scoring.rules import Direction
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.fields import Names, PositiveDuration, TimeZone
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["LINK_PLACES", "MonitorConfig", "QueryConfig"]

LINK_PLACES = ("monitor", "event", "start_ms", "end_ms")
"""Values that are filled into links, beside labels."""


_Finite = Annotated[float, Field(allow_inf_nan=False)]


def _allow_shorthand(schema: dict[str, Any]) -> None:
    """A query may be its expression alone."""
    full = dict(schema)
    schema.clear()
    schema["anyOf"] = [{"type": "string", "minLength": 1, "description": "The expression alone."}, full]


class QueryConfig(StrictModel):
    """One query; a text alone stands for its `expr`."""

    model_config = ConfigDict(json_schema_extra=_allow_shorthand)

    expr: str = Field(min_length=1)
    """The query in the reader's own language."""
    unit: str | None = None
    """Unit of the values, shown in messages: `%`, `B`, `req/s`."""
    detection_direction: Direction = "both"
    """Which deviations count: `both`, `above_expected` or `below_expected`."""
    min_dev_from_expected: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Deviations smaller than this, in the query's own unit, never count."""
    min_rel_dev_from_expected: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """Deviations smaller than this share of the expected value never count; 0.1 is a tenth."""

    data_range: tuple[_Finite, _Finite] | None = None
    """Lowest and highest value that can be right: one outside is anomalous in any case, and is not learned."""
    step: PositiveDuration | None = None
    """A coarser step of this query, a multiple of the monitor's; its value is held until the next."""
    offset: Duration = timedelta(0)
    """Age of the query's values relative to their rows, for metrics that come late."""
    tz: TimeZone | None = None
    """Time zone (`Europe/Berlin`) whose midnights begin the days, for a step of whole days."""
    max_points_per_query: int | None = Field(default=None, ge=1)
    """Points of one series that one request to the source may ask for; longer spans are read in parts."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"expr": value} if isinstance(value, str) else value

    @field_validator("expr")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("is empty; write a query in the reader's language")
        return value

    @field_validator("data_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] >= value[1]:
            raise ValueError(
                f"its lowest value {value[0]:g} must be below its highest {value[1]:g}; write it as [low, high]"
            )
        return value

    def asked(self, name: str) -> Query:
        """The query as a reader gets it."""
        return Query(
            name,
            self.expr,
            step=None if self.step is None else pd.Timedelta(self.step),
            offset=pd.Timedelta(self.offset),
            tz=self.tz,
            max_points_per_query=self.max_points_per_query,
        )


class MonitorConfig(StrictModel):
    """A monitor: what is watched, how often, and who is notified."""

    reader: str
    """Name of the reader that answers the queries."""
    model: str = "default"
    """Name of the model that scores; `default` exists even if the `models` section lacks it."""
    scheduler: str
    """Name of the scheduler that says when."""
    groupby: Names = ()
    """Labels that split the series into groups scored jointly; without any, all series are one group."""
    step: PositiveDuration
    """Distance between two rows of the grid on which series are read."""
    alarms_per_week: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Acceptable number of false events a week; scores are calibrated so that 1 is this limit."""
    queries: Mapping[str, QueryConfig] = Field(min_length=1)
    """Name to query; each series a query returns is one metric of its group."""
    notify: Names = ()
    """Names of the notifiers that get the monitor's events."""
    write: Names = ()
    """Names of the writers that store the monitor's scores."""
    links: Mapping[str, str] = Field(default_factory=dict)
    """Name to address, for messages; `{monitor}`, `{event}`, `{start_ms}`, `{end_ms}`, `{labels.NAME}` are filled."""
    provide_series: bool = False
    """If true, writers also get the expected value of every metric, with its band; costs a few times the scoring."""
    absent_after: PositiveDuration | None = timedelta(minutes=15)
    """A group without any value for so long (three rows at least) has an event of its own; `null`: it has none."""
    forget_after: PositiveDuration = timedelta(days=1)
    """A group that is absent for so long is taken to be gone for good, and its event ends."""
    calendar: Mapping[str, CalendarEntry] = Field(default_factory=dict)
    """Name to a time without notifications, or without scoring: maintenance, backups, holidays."""
    events: EventPolicy = EventPolicy()
    """Rules for when high scores become an event, and when it is over."""

    @field_validator("links")
    @classmethod
    def _known_places(cls, links: Mapping[str, str]) -> Mapping[str, str]:
        for name, address in links.items():
            for place in re.findall(r"\{([^{}]*)\}", address):
                if place not in LINK_PLACES and not re.fullmatch(r"labels\.[A-Za-z_]\w*", place):
                    known = ", ".join(f"{{{one}}}" for one in LINK_PLACES)
                    raise ValueError(f"the link {name!r} has {{{place}}}; what is filled in: {known}, {{labels.NAME}}")
            if not re.match(r"https?://", address):
                raise ValueError(f"the link {name!r} is no address; write it like https://host/path")
        return links
