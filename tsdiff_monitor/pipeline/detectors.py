"""What scores each group of a tick: the model that was fit for it, or what stands in until there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.pipeline.cold_start import ColdStart
from tsdiff_monitor.pipeline.results import TickResult
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.pipeline.tick import Pipeline

__all__ = ["group_detectors"]


def group_detectors(
    pipeline: Pipeline,
    cold: ColdStart | None,
    firsts: Mapping[Group, pd.Timestamp],
    frames: Mapping[Group, Frame],
    result: TickResult,
    clock: Callable[[], float],
) -> dict[Group, Detector]:
    """The detector of each group that has one, of those with a row to score (``firsts``).

    With ``cold``, groups without a model get what stands in for it, prepared from what the tick has read (``frames``).
    Groups without a model, and models that cannot be used, are in ``result``.
    """
    found = {group: _model(pipeline, group, result) for group in firsts}
    if cold is not None:
        missing = {group: first for group, first in firsts.items() if found[group] is None}
        cold.prepare(missing, frames, result, clock)
        found |= {group: cold.get(group) for group in missing}
        result.cold_start.extend(group for group in missing if found[group] is not None)
    return {group: detector for group, detector in found.items() if detector is not None}


def _model(pipeline: Pipeline, group: Group, result: TickResult) -> Detector | None:
    where = group_name(group)
    try:
        return pipeline.models.get(pipeline.name, group)
    except ModelError as error:
        result.without_model.append(group)
        if pipeline.models.exists(pipeline.name, group):
            result.errors.append((where, error))
    except Exception as error:  # a bug in one group must not stop the others
        result.errors.append((where, unexpected(error, monitor=pipeline.name, group=where)))
    return None
