"""Configuration of the `sql` reader."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_connectors.sql.parser import parse_condition
from tsdiff_monitor.settings.durations import Duration
from tsdiff_monitor.settings.fields import PositiveDuration, TimeZone
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.extras import missing_package

__all__ = ["SqlConfig", "TimeUnit"]

TimeUnit = Literal["s", "ms", "us", "ns"]
_Name = Annotated[str, Field(min_length=1)]


class SqlConfig(StrictModel):
    """Events in a database as a source. A query's `expr` is a feature: `sum(amount) where status = 'declined'`."""

    url: SecretStr | None = None
    """The database's address, as SQLAlchemy takes it: `postgresql://user:password@host/name`, `sqlite:////path/file`."""
    url_file: Path | None = None
    """File that holds the address; read again at each reading."""
    table: _Name | None = None
    """The table or view of events, a row each; `schema.table` where it is not in the default schema."""
    query: _Name | None = None
    """A `SELECT` of events instead of a table. It runs as it is written, in a read-only transaction."""
    time: _Name
    """Column with the time of the event: a number since the epoch, a timestamp, or (in SQLite) text in ISO 8601."""
    time_unit: TimeUnit | None = None
    """The unit of numbers in `time` and `arrival`: `s`, `ms`, `us` or `ns`; derived from their size when left out."""
    tz: TimeZone = "UTC"
    """Time zone (`Europe/Berlin`) of timestamps and texts that carry none."""
    arrival: _Name | None = None
    """Column with the time at which more became known of the event, for features that end in `by arrival`."""
    where: str | None = None
    """Condition that chooses which events count at all, like `amount > 0 and not status = 'test'`."""
    lateness: Duration = timedelta(minutes=1)
    """Longest time after its own at which an event may still be stored; rows this old are read again at each tick."""
    stalled_after: PositiveDuration | None = None
    """If the newest event of all is older than this, a reading fails instead of counting nothing; never by default."""
    lookback: PositiveDuration = timedelta(days=30)
    """Time that a group is remembered after its last event, and how far `seconds_since_last` looks back."""
    max_groups: int = Field(default=20_000, ge=1)
    """A reading that finds more groups than this fails."""
    connect_timeout: PositiveDuration = timedelta(seconds=5)
    """Longest wait for a connection."""
    statement_timeout: PositiveDuration = timedelta(minutes=1)
    """Limit of the database's work on one statement."""
    timeout: PositiveDuration = timedelta(minutes=2)
    """Limit of a whole reading, connecting included; kept even if the server does not answer any more."""
    pool_size: int = Field(default=2, ge=1, le=100)
    """Connections that are kept open, and the most that are used at once."""
    fit_fraction: float = Field(default=0.5, gt=0, lt=1)
    """Share of the events' time span, the oldest, that `backtest` fits on when it is given no times."""

    @field_validator("where")
    @classmethod
    def _a_condition(cls, where: str | None) -> str | None:
        if where is not None:
            parse_condition(where)
        return where

    @field_validator("url")
    @classmethod
    def _an_address(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"[a-z0-9_+]+://", url.get_secret_value().strip()):
            raise ValueError("this is no address of a database; write it like postgresql://user:password@host/name")
        postgres = url is not None and re.match(r"postgres(ql)?(\+psycopg)?://", url.get_secret_value().strip())
        if postgres and (missing := missing_package("PostgreSQL", "psycopg")):
            raise ValueError(missing)
        return url

    @field_validator("lateness")
    @classmethod
    def _not_negative(cls, lateness: timedelta) -> timedelta:
        if lateness < timedelta(0):
            raise ValueError("must not be negative; write it like 0s, 30s or 5m")
        return lateness

    @model_validator(mode="after")
    def _one_source(self) -> SqlConfig:
        if self.url is None and self.url_file is None:
            raise ValueError("give `url` or `url_file`")
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self
