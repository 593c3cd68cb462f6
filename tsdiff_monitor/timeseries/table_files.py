"""Opening a table file (Parquet, CSV) and judging its header; what the columns hold is read by ``tables``."""

from __future__ import annotations

import difflib
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tsdiff_monitor.errors import DataError

__all__ = ["TIME_COLUMNS", "load_columns"]

TIME_COLUMNS = ("t", "time", "timestamp")
"""The names a time column may have."""

_PANDAS_INDEX = "__index_level_0__"


def load_columns(path: Path) -> tuple[pa.Table, list[str]]:
    """The file's columns, and notes on what was left out. Raises :class:`DataError` with file and remedy."""
    if not path.exists():
        folder = path.parent
        others = [other.name for other in folder.iterdir()] if folder.is_dir() else []
        near = difflib.get_close_matches(path.name, others, n=3, cutoff=0.6)
        hint = f"did you mean {' or '.join(near)}?" if near else "check the path"
        missing = "there is no such file" if folder.is_dir() else f"there is no folder {folder}"
        raise DataError(f"{path}: {missing}; {hint}")
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; name one of the files in it")
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".pq", ".csv"):
        raise DataError(f"{path}: the extension {suffix!r} is not supported; use .parquet, .pq or .csv")
    kind = "CSV" if suffix == ".csv" else "Parquet"
    try:
        if path.stat().st_size == 0:
            raise DataError(f"{path}: the file is empty (0 bytes); write it again")
        if kind == "CSV":
            data = pyarrow.csv.read_csv(path, convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True))
        else:
            data = pyarrow.parquet.ParquetFile(path).read()  # unlike read_table, it makes no columns of folder names
        names = [str(name) for name in data.column_names]
    except OSError as error:
        remedy = "check its permissions" if isinstance(error, PermissionError) else "it may be damaged: write it again"
        raise DataError(f"{path}: cannot be read: {error.strerror or error}; {remedy}") from None
    except (pa.ArrowException, ValueError) as error:
        said = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise DataError(
            f"{path}: not a readable {kind} file ({said}); "
            "it may be damaged, cut short or of another format: write it again"
        ) from None
    return _without_index(path, data, names, kind)


def _without_index(path: Path, data: pa.Table, names: list[str], kind: str) -> tuple[pa.Table, list[str]]:
    """Sort out the index that pandas stores as a column, and refuse column names that say nothing."""
    notes: list[str] = []
    if _PANDAS_INDEX in names and names.count(_PANDAS_INDEX) == 1:
        if pa.types.is_timestamp(data.schema.field(_PANDAS_INDEX).type) and not set(names) & set(TIME_COLUMNS):
            names = ["time" if name == _PANDAS_INDEX else name for name in names]
            data = data.rename_columns(names)
        else:
            data = data.drop_columns([_PANDAS_INDEX])
            names = [name for name in names if name != _PANDAS_INDEX]
            notes.append("the unnamed pandas index was left out")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{path}: several columns are named {twice[0]!r}; give every column its own name")
    if "" in names:
        raise DataError(
            f"{path}: column {names.index('') + 1} has no name; name it 'time' if it holds times, else remove it "
            "(pandas writes its index so: use to_csv(index=False))"
        )
    if kind == "CSV" and len(names) == 1 and (";" in names[0] or "\t" in names[0]):
        raise DataError(
            f"{path}: the columns are not separated by commas (the header is {names[0][:60]!r}); use commas"
        )
    if data.num_rows == 0:
        raise DataError(f"{path}: the file has a header but no rows")
    return data, notes
