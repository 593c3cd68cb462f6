"""The details of a change, for its messages: the culprits' course, links, and the monitor's alarm rate."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from urllib.parse import quote

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.events.details import Course, Details, Snapshot, Values
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.scores import Scores

__all__ = ["annotate", "linked", "snapshot", "with_units"]

_ROWS = 90
"""Rows of the picture at most."""
_CULPRITS = 3
_MARGIN = pd.Timedelta(minutes=30)
_PLACE = re.compile(r"\{([A-Za-z_][\w.]*)\}")


def annotate(
    change: EventChange,
    picture: Snapshot | None,
    *,
    links: Mapping[str, str],
    allowed: float,
    seen: float | None,
) -> EventChange:
    """The change with its details. ``links``: templates by name; ``allowed`` and ``seen``: alarms a week that the user
    allows, and those of late."""
    details = Details(picture, linked(links, change.event), allowed_per_week=allowed, seen_per_week=seen)
    return dataclasses.replace(change, details=details)


def with_units(change: EventChange, units: Mapping[str, str]) -> EventChange:
    """The change with the unit of each culprit whose metric has one."""
    if not units:
        return change
    culprits = tuple(
        dataclasses.replace(culprit, unit=units.get(culprit.metric, "")) for culprit in change.event.culprits
    )
    return dataclasses.replace(change, event=dataclasses.replace(change.event, culprits=culprits))


def linked(templates: Mapping[str, str], event: Event) -> dict[str, str]:
    """The links of a message: ``{monitor}``, ``{event}``, ``{start_ms}``, ``{end_ms}`` (half an hour around the event)
    and ``{labels.NAME}`` filled in and quoted. A label that the group does not have is empty.
    """
    known = {
        "monitor": event.monitor,
        "event": event.id,
        "start_ms": str(_milliseconds(event.start - _MARGIN)),
        "end_ms": str(_milliseconds((event.end or event.last) + _MARGIN)),
        **_labels(event.group),
    }
    return {
        name: _PLACE.sub(lambda place: quote(known.get(place[1], ""), safe=""), template)
        for name, template in templates.items()
    }


def snapshot(
    detector: Detector, frame: Frame, scores: Scores, event: Event, score: Callable[[Frame], Scores]
) -> Snapshot | None:
    """The rows up to the change, with what its culprits were expected to be; None where there is nothing to show.

    ``frame`` holds the rows of ``scores`` and those before them, which ``score`` works out again from the rows at hand.
    """
    names = [culprit.metric for culprit in event.culprits[:_CULPRITS] if culprit.metric in frame.names]
    last = frame.row(event.last) + 1
    if not names or last < 1:
        return None
    rows = frame.rows(max(last - _ROWS, 0), last)
    known = score(rows).score.astype(float)
    new = rows.times.isin(scores.times)
    known[new] = scores.score[scores.times.isin(rows.times)]
    expected = detector.expected(rows, names)
    courses = []
    for k, name in enumerate(names):
        parts = (rows.values[:, rows.names.index(name)], expected.yhat[:, k])
        bands = (expected.yhat_lower[:, k], expected.yhat_upper[:, k])
        courses.append(Course(name, *(_values(part) for part in (*parts, *bands))))
    return Snapshot(rows.start, rows.step, _values(known), tuple(courses))


def _labels(group: Group) -> dict[str, str]:
    return {f"labels.{name}": value for name, value in group}


def _values(column: np.ndarray) -> Values:
    return tuple(float(f"{value:.6g}") if np.isfinite(value) else None for value in column.tolist())


def _milliseconds(time: pd.Timestamp) -> int:
    return int(time.timestamp() * 1000)
