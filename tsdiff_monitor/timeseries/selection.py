"""Selections of a group's frame, between the source and the detector: rows, metrics, masks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import SchemaMismatchError
from tsdiff_monitor.timeseries.frame import Frame, Series

__all__ = ["align_metrics", "aligned", "any_since", "mask_spans", "masked", "strip_empty_rows"]

_SHOWN = 5


def aligned(frame: Frame, names: Sequence[str], step_seconds: float) -> Frame:
    """The frame with its metrics in the order of the fit, ``names``.

    Raises :class:`SchemaMismatchError` when its metrics or its step are not those of the fit.
    """
    if frame.step.total_seconds() != step_seconds:
        raise SchemaMismatchError(
            f"the rows are {frame.step.total_seconds():g} s apart, but the model was fit on rows "
            f"{step_seconds:g} s apart; fit again, or give both the same step"
        )
    if frame.names == tuple(names):
        return frame
    absent, unknown = sorted(set(names) - set(frame.names)), sorted(set(frame.names) - set(names))
    if absent or unknown:
        parts = [f"missing: {', '.join(absent)}"] * bool(absent) + [f"new: {', '.join(unknown)}"] * bool(unknown)
        raise SchemaMismatchError(
            f"the metrics are not those the model was fit on ({'; '.join(parts)}); fit again, or correct the query"
        )
    return frame.select(names)


def any_since(frame: Frame, start: pd.Timestamp) -> bool:
    """True if the frame holds a value from ``start`` on."""
    return bool(frame.between(start, frame.end).observed.any())


def strip_empty_rows(frame: Frame, *, head: bool = True) -> Frame:
    """The frame without the rows at the end, and those at the ``head``, that hold no value."""
    seen = np.flatnonzero(frame.observed.any(1))
    if not seen.size:
        return frame.rows(0, 0)
    return frame.rows(int(seen[0]) if head else 0, int(seen[-1]) + 1)


def mask_spans(frame: Frame, spans: Iterable[tuple[pd.Timestamp, pd.Timestamp | None]]) -> Frame:
    """The frame with the rows of ``spans`` (start, exclusive end; None: not over yet) missing."""
    values = frame.values.copy()
    for start, end in spans:
        last = len(frame) if end is None else max(frame.row(end), 0)
        values[max(frame.row(start), 0) : last] = np.nan
    return Frame(frame.start, frame.step, values, frame.series)


def masked(frame: Frame, cells: np.ndarray) -> Frame:
    """The frame with ``cells`` (boolean ``[T, K]``) missing."""
    return Frame(frame.start, frame.step, np.where(cells, np.float32(np.nan), frame.values), frame.series)


def align_metrics(frame: Frame, wanted: Sequence[str]) -> tuple[Frame, list[str]]:
    """The frame with exactly the metrics ``wanted``, in that order, and notes on what differed.

    A metric that vanished is missing, a new one is left out. Raises :class:`SchemaMismatchError` when none is left.
    """
    column = {name: k for k, name in enumerate(frame.names)}
    absent = [name for name in wanted if name not in column]
    new = [name for name in frame.names if name not in set(wanted)]
    if len(absent) == len(wanted):
        raise SchemaMismatchError(
            f"none of the metrics is one the model was fit on (new: {_some(new)}; missing: {_some(absent)}); fit again"
        )
    notes = [f"metrics of the model that are missing now: {_some(absent)}"] * bool(absent)
    notes += [f"metrics that are new, and left out until the next fit: {_some(new)}"] * bool(new)
    values = np.full((len(frame), len(wanted)), np.nan, np.float32)
    for k, name in enumerate(wanted):
        if name in column:
            values[:, k] = frame.values[:, column[name]]
    series = tuple(frame.series[column[name]] if name in column else Series(name) for name in wanted)
    return Frame(frame.start, frame.step, values, series), notes


def _some(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
