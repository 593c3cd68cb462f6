"""The folder that ``backtest`` and ``demo`` leave behind: the page, and the same facts for programs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tsdiff_monitor.backtest.report.html import render
from tsdiff_monitor.backtest.report.replay import GroupReplay, Replay
from tsdiff_monitor.backtest.report.summary import Summary, assess
from tsdiff_monitor.system.atomic_files import atomic_path
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["FILES", "write_report"]

FILES = ("events.jsonl", "scores.parquet", "report.html", "summary.json")
"""The files of a report's folder, in the order of writing: a ``summary.json`` means that the others are there."""


def write_report(replay: Replay, directory: Path) -> Summary:
    """Write the report's four files into ``directory``, each whole or not at all, and return the summary.

    The folder is created where it is missing; other files in it are left alone. The same replay always yields the
    same bytes. Raises :class:`~tsdiff_monitor.errors.OutputError` when the folder cannot be written.
    """
    assessment = assess(replay)
    page = render(replay, assessment)
    events = sorted(
        (event for group in replay.groups for event in group.events), key=lambda event: (event.start, event.id)
    )
    lines = [_json(event.to_json()) + "\n" for event in events]
    with atomic_path(directory / "events.jsonl") as part:
        part.write_text("".join(lines), encoding="utf-8")
    with atomic_path(directory / "scores.parquet") as part:
        _write_scores(replay, part)
    with atomic_path(directory / "report.html") as part:
        part.write_text(page, encoding="utf-8")
    with atomic_path(directory / "summary.json") as part:
        part.write_text(_json(assessment.summary.to_json(), indent=2) + "\n", encoding="utf-8")
    return assessment.summary


def _write_scores(replay: Replay, path: Path) -> None:
    """One row per scored row of every group; nulls where there was nothing to score or no metric to blame."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("monitor", pa.string()),
            ("group", pa.string()),
            ("t", pa.timestamp("ns", tz="UTC")),
            ("anomaly_score", pa.float64()),
            ("top_metric", pa.string()),
            ("top_attribution", pa.float64()),
        ]
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in replay.groups:
            scores, (metric, attribution) = group.scores, _top(group)
            columns = [
                pa.array([replay.monitor] * len(scores), pa.string()),
                pa.array([group_name(group.group)] * len(scores), pa.string()),
                pa.array(scores.times.as_unit("ns").asi8, pa.timestamp("ns", tz="UTC")),
                pa.array(np.asarray(scores.score, np.float64), from_pandas=True),
                pa.array(metric, pa.string()),
                pa.array(attribution, from_pandas=True),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def _top(group: GroupReplay) -> tuple[list[str | None], np.ndarray]:
    """Each row's metric with the largest attribution, and that attribution ``[T]`` (NaN where all are zero)."""
    names = [series.name for series in group.scores.series]
    attribution = np.nan_to_num(np.asarray(group.scores.attribution, np.float64))
    if not attribution.size:
        return [None] * len(group.scores), np.full(len(group.scores), np.nan)
    best = attribution.argmax(axis=1)
    share = attribution.max(axis=1)
    metrics = [names[k] if part > 0 else None for k, part in zip(best, share, strict=True)]
    return metrics, np.where(share > 0, share, np.nan)


def _json(value: Any, indent: int | None = None) -> str:
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    """``value`` with null for NaN and infinities, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
