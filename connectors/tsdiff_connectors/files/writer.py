"""Writes scores to table files: one Parquet or CSV part per monitor, group and UTC day.

A part is read, merged by time and put back whole, so that writing the same rows again changes nothing, a crash leaves
the old part or the new one, and a day of minutes stays a matter of milliseconds per tick.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tsdiff_monitor.errors import OutputError, WriteError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.system.atomic_files import atomic_path
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["FilesWriter"]

_META_KEY = b"tsdiff_monitor.scores"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


class FilesWriter:
    """A writer into a folder: ``<path>/<monitor>/<group>/<day>.parquet``."""

    class Config(StrictModel):
        """Scores as table files: `t` (Unix seconds), `anomaly_score`, and `y.`, `attribution.`, `yhat.` per metric."""

        path: Path
        """The folder to write into; it is created when it is missing."""
        format: Literal["parquet", "csv"] = "parquet"
        """The files' format."""

    def __init__(self, config: Config, context: Context) -> None:  # noqa: ARG002 (the plug-in contract)
        self._config = config
        self._lock = Lock()

    def write(self, batch: ScoreBatch) -> None:
        """Merge the rows into the parts of their days; the newer of two rows with the same time stays."""
        rows = _rows(batch)
        folder = self._config.path / _file_name(batch.monitor) / _group_folder(batch)
        with self._lock:
            for day, part in rows.groupby(batch.frame.times.strftime("%Y-%m-%d")):
                self._merge(folder / f"{day}.{self._config.format}", part, batch)

    def close(self) -> None:
        """Nothing is held open between writes."""

    def _merge(self, path: Path, rows: pd.DataFrame, batch: ScoreBatch) -> None:
        old = self._read(path) if path.exists() else None
        if old is not None:
            merged = pd.concat([old.loc[old.index.difference(rows.index)], rows]).sort_index()
            rows = merged[[*old.columns, *rows.columns.difference(old.columns, sort=False)]]
            if rows.equals(old):
                return
        try:
            with atomic_path(path) as part:
                self._store(rows, part, batch)
        except OutputError as error:
            code = getattr(error.__cause__, "errno", None)
            reason = "disk_full" if code in _FULL else "denied" if code in _DENIED else "io"
            raise WriteError(str(error), recoverable=reason != "denied", reason=reason) from error

    def _store(self, rows: pd.DataFrame, path: Path, batch: ScoreBatch) -> None:
        seconds = rows.index.to_numpy() / 1e9
        t = seconds.astype(np.int64) if np.all(seconds == np.floor(seconds)) else seconds
        columns = {"t": pa.array(t), **{name: pa.array(rows[name], from_pandas=True) for name in rows.columns}}
        table = pa.table(columns)
        if self._config.format == "csv":
            pyarrow.csv.write_csv(table, path)
            return
        meta = {"monitor": batch.monitor, "model": batch.model, "group": dict(batch.group)}
        table = table.replace_schema_metadata({_META_KEY: json.dumps(meta).encode()})
        pyarrow.parquet.write_table(table, path, compression="zstd")

    def _read(self, path: Path) -> pd.DataFrame:
        try:
            if self._config.format == "csv":
                table = pyarrow.csv.read_csv(path)
            else:
                table = pyarrow.parquet.ParquetFile(path).read()
            seconds = table.column("t").to_numpy().astype(np.float64)
            values = {n: _float32(table.column(n)) for n in table.column_names if n != "t"}
        except (OSError, pa.ArrowException, KeyError, ValueError) as error:
            said = str(error).splitlines()[0][:200]
            raise WriteError(
                f"{path}: the scores already there cannot be read ({said}); move the file away to start a new one",
                recoverable=False,
                reason="damaged",
            ) from error
        return pd.DataFrame(values, index=pd.Index(_to_ns(seconds), name="t"))


def _rows(batch: ScoreBatch) -> pd.DataFrame:
    """The batch as float32 columns, indexed by int64 nanoseconds."""
    scores, frame, expected = batch.scores, batch.frame, batch.expected
    index = pd.Index(frame.times.asi8, name="t")
    at = scores.times.as_unit("ns").asi8
    parts: list[tuple[str, Any, np.ndarray]] = [("anomaly_score", at, scores.score)]
    parts += [(f"y.{name}", frame.times.asi8, frame.values[:, k]) for k, name in enumerate(frame.names)]
    parts += [(f"attribution.{one.name}", at, scores.attribution[:, k]) for k, one in enumerate(scores.series)]
    if expected is not None:
        there = expected.times.as_unit("ns").asi8
        for k, one in enumerate(expected.series):
            parts.append((f"yhat.{one.name}", there, expected.yhat[:, k]))
            parts.append((f"yhat_lower.{one.name}", there, expected.yhat_lower[:, k]))
            parts.append((f"yhat_upper.{one.name}", there, expected.yhat_upper[:, k]))
    columns = {name: pd.Series(values.astype(np.float32), index=times) for name, times, values in parts}
    return pd.DataFrame(columns, index=index)


def _to_ns(seconds: np.ndarray) -> np.ndarray:
    """Nanoseconds, to the microsecond that float seconds are good to."""
    return np.asarray(np.round(seconds * 1e6).astype(np.int64) * 1000)


def _float32(column: pa.ChunkedArray) -> np.ndarray:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float32)


def _group_folder(batch: ScoreBatch) -> str:
    if not batch.group:
        return "all"
    readable = ",".join(f"{label}-{value}" for label, value in batch.group)
    return _file_name(readable, json.dumps(batch.group))


def _file_name(text: str, identity: str | None = None) -> str:
    """``text`` as a file name, readable and different for every identity, also where file names ignore case."""
    plain = re.sub(r"[^a-z0-9_-]|^-", "_", text.lower())[:80]
    if identity is None and plain == text:
        return plain
    return f"{plain}.{hashlib.sha256((identity or text).encode()).hexdigest()[:8]}"
