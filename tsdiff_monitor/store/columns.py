"""The form of groups and times in the tables: labels as JSON, times in nanoseconds since the epoch."""

from __future__ import annotations

import json

import pandas as pd

from tsdiff_monitor.timeseries.frame import Group

__all__ = ["group_of", "labels_text", "ns_of", "time_of"]


def labels_text(group: Group) -> str:
    """A group's column ``labels``."""
    return json.dumps([list(label) for label in group])


def group_of(labels: str) -> Group:
    """The group of a column ``labels``."""
    return tuple((label, value) for label, value in json.loads(labels))


def ns_of(time: pd.Timestamp) -> int:
    """A time's column."""
    return int(time.as_unit("ns").value)


def time_of(ns: int) -> pd.Timestamp:
    """The time of a column, in UTC."""
    return pd.Timestamp(ns, tz="UTC")
