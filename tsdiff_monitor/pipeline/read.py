"""The rows of a tick, as the source gives them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.plan import TickPlan
from tsdiff_monitor.plugins import Reader, Reading, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.selection import any_since

__all__ = ["Rows", "newest_rows", "read_rows", "read_whole"]


@dataclass(frozen=True)
class Rows:
    """Each group's rows and the time of the first one to score."""

    frames: Mapping[Group, Frame]
    firsts: Mapping[Group, pd.Timestamp]
    warnings: tuple[str, ...] = ()


def read_whole(reader: Reader, monitor: str, request: ReadRequest) -> Reading:
    """Ask the source. Raises ``SourceError`` when it cannot answer, or leaves something out.

    Groups that were not asked for are dropped: not every source can leave them out.
    """
    reading = reader.read(request)
    if reading.partial:
        raise SourceError(
            f"monitor {monitor}: the source gave only part of an answer "
            f"({'; '.join(reading.warnings) or 'it does not say why'}); no score is made from it",
            reason="partial",
        )
    if request.groups is None or request.groups >= reading.frames.keys():
        return reading
    wanted = {group: frame for group, frame in reading.frames.items() if group in request.groups}
    return Reading(wanted, reading.warnings)


def read_rows(reader: Reader, monitor: Monitor, plan: TickPlan) -> Rows:
    """The rows of the plan, with those of groups that are back after a long time. Raises ``SourceError``."""
    reading = read_whole(reader, monitor.name, monitor.request(plan.start - plan.context, plan.end))
    frames, warnings = dict(reading.frames), reading.warnings
    back = {
        group: time
        for group, time in plan.due.items()
        if time < plan.start and group in frames and any_since(frames[group], time)
    }
    if back:
        request = monitor.request(min(back.values()) - plan.context, plan.end, back)
        again = read_whole(reader, monitor.name, request)
        frames |= again.frames
        warnings = tuple(dict.fromkeys(warnings + again.warnings))
    return Rows(frames, {group: plan.first(group) for group in frames}, warnings)


def newest_rows(frames: Mapping[Group, Frame]) -> dict[Group, pd.Timestamp]:
    """The time of each group's newest row with a value; groups without any are left out."""
    newest = {}
    for group, frame in frames.items():
        rows = np.flatnonzero(frame.observed.any(1))
        if len(rows):
            newest[group] = frame.start + int(rows[-1]) * frame.step
    return newest
