"""Work on one connection: describe the source, run the statements, make frames of their answers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import sqlalchemy as sa

from tsdiff_connectors.reading.grouping import grid_ns
from tsdiff_connectors.sql.conditions import condition_sql
from tsdiff_connectors.sql.config import SqlConfig
from tsdiff_connectors.sql.events import Events, describe
from tsdiff_connectors.sql.frame_builder import Answer, Groups, frames_of, receive
from tsdiff_connectors.sql.parser import parse_condition
from tsdiff_connectors.sql.statements import Scope, Statement, before, per_interval
from tsdiff_connectors.sql.syntax import Condition, Feature
from tsdiff_connectors.sql.times import TimeColumn, time_column
from tsdiff_connectors.sql.wanted import wanted_groups
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import ReadRequest
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.timeseries.frame import Frame, Group

__all__ = ["Named", "Source", "describe_source", "features", "span"]

Named = tuple[str, Feature]
"""A feature and the name of its query."""


@dataclass(frozen=True)
class Source:
    """Description of the configured table or query by the database."""

    events: Events
    time: TimeColumn
    arrival: TimeColumn | None
    where: Condition | None

    @property
    def settled(self) -> bool:
        """True where asking again would bring nothing new."""
        return not self.time.empty and (self.arrival is None or not self.arrival.empty)


def describe_source(connection: sa.Connection, config: SqlConfig) -> Source:
    """Ask the database about tables, columns and the units of times. Raises :class:`SourceError`."""
    events = describe(connection, config)
    time = time_column(connection, events, config.time, "time", config)
    arrival = config.arrival and time_column(connection, events, config.arrival, "arrival", config)
    return Source(events, time, arrival or None, None if config.where is None else parse_condition(config.where))


def features(
    connection: sa.Connection, source: Source, config: SqlConfig, request: ReadRequest, named: Sequence[Named]
) -> dict[Group, Frame]:
    """The frames of a request whose queries are ``named``, in that order. Raises :class:`SourceError`."""
    first, last, step = grid_ns(request)
    if first >= last:
        return {}
    if config.stalled_after is not None:
        _check_flow(connection, source.time, last, config.stalled_after)
    groups = Groups((last - first) // step * len(named), config.max_groups)
    lookback = pd.Timedelta(config.lookback)
    since = first - max(1, lookback.as_unit("ns").value // step) * step
    wanted = wanted_groups(source.events, request.groupby, request.groups)
    if not wanted:
        return {}
    answers = []
    for by_arrival in (False, True):
        columns = [at for at, (_, feature) in enumerate(named) if feature.by_arrival == by_arrival]
        if by_arrival and not columns:
            continue  # the time column is asked in any case: it shows which groups there are
        time = source.arrival if by_arrival else source.time
        if time is None:
            raise SourceError(
                f"query {named[columns[0]][0]!r}: `by arrival` needs the reader's key `arrival`, a second time column",
                reason="bad_request",
                recoverable=False,
            )
        chosen = [named[at] for at in columns]
        scopes = [Scope(source.events, time, request.groupby, source.where, chosen, some) for some in wanted]
        keys = len(request.groupby)
        numbers, found = receive(connection, [per_interval(one, first, last, step) for one in scopes], groups, keys)
        earlier, times = receive(connection, [before(one, since, first) for one in scopes], groups, keys)
        times = times * time.unit_ns
        answers.append(
            Answer(
                columns,
                [feature for _, feature in chosen],
                numbers,
                found[:, 0].astype(np.int64),
                _in_nanoseconds(found[:, 1:], chosen, time),
                earlier,
                times[:, 0],
                times[:, 1:],
            )
        )
    return frames_of(answers, groups, request, lookback)


def span(
    connection: sa.Connection, source: Source, config: SqlConfig, groupby: tuple[str, ...]
) -> tuple[tuple[int, int] | None, list[Group]]:
    """The oldest and the newest event's time, in nanoseconds, and all groups; None where there is no event."""
    where = () if source.where is None else (condition_sql(source.where, source.events, "`where`"),)
    time = source.time
    ends = [sa.select(time.instant(end(time.column))).where(*where) for end in (sa.func.min, sa.func.max)]
    oldest, newest = (connection.execute(end).scalar_one() for end in ends)
    if oldest is None:
        return None, []
    keys = [source.events.column(key, "`groupby`") for key in groupby]
    groups = Groups(0, config.max_groups)
    if keys:
        distinct: Statement = sa.select(*keys).where(*where, *(key.is_not(sa.null()) for key in keys)).distinct()
        receive(connection, [distinct], groups, len(keys))
    else:
        groups.numbered([], 1)
    return (int(oldest * time.unit_ns), int(newest * time.unit_ns)), groups.labelled(groupby)


def _check_flow(connection: sa.Connection, time: TimeColumn, end_ns: int, limit: dt.timedelta) -> None:
    """Raise :class:`SourceError` where no event at all has come for ``limit`` before the end of a request."""
    newest = connection.execute(sa.select(time.instant(sa.func.max(time.column)))).scalar_one()
    if newest is not None and int(newest * time.unit_ns) < end_ns - pd.Timedelta(limit).as_unit("ns").value:
        at = pd.Timestamp(int(newest * time.unit_ns), tz="UTC").floor("s")
        raise SourceError(
            f"the newest event of all is of {at.isoformat()}, more than {format_duration(limit)} (`stalled_after`) "
            "before the end of what is asked for; check what writes the events",
            reason="stalled",
        )


def _in_nanoseconds(values: np.ndarray, named: Sequence[Named], time: TimeColumn) -> np.ndarray:
    """``values [N, F]`` with the times among them, of ``seconds_since_last``, in nanoseconds since the epoch."""
    units = [time.unit_ns if feature.function == "seconds_since_last" else 1 for _, feature in named]
    return values * np.array(units, np.float64)
