"""Columns of a table file as numbers and times, with errors that name the first bad value and its row.

Rows are counted from 1, the header of a CSV file not included. Shapes: N rows.
"""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import DataError

__all__ = ["flags", "numbers", "series_codes", "times_ns"]

_EXACT_SECONDS = 9_223_372_036  # the last second that int64 nanoseconds since 1970 can hold (year 2262)
_OUTSIDE = "holds times outside the years 1678 to 2262; correct or remove those rows"
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (np.inf, 1e9))  # magnitude below which a number counts in that unit


def numbers(column: pd.Series, where: str) -> np.ndarray:
    """The column as float64 ``[N]``: empty cells are NaN, text is accepted where all of it parses as numbers."""
    column = _decoded(column)
    kind = column.dtype
    if pd.api.types.is_bool_dtype(kind) or pd.api.types.is_numeric_dtype(kind):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    text = _as_text(column)
    parsed = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    bad = np.flatnonzero(np.isnan(parsed) & text.notna().to_numpy() & (text.str.lower() != "nan").to_numpy(bool))
    if len(bad):
        raise _not_numeric(where, str(text.iloc[bad[0]]), int(bad[0]) + 1)
    return parsed


def flags(column: pd.Series, where: str, allowed: dict[int, str], empty: int | None) -> np.ndarray:
    """A reserved column as int8 ``[N]`` whose values all lie in ``allowed`` (value to meaning).

    Empty cells become ``empty``, or are refused where that is None.
    """
    meaning = ", ".join(f"{value} = {word}" for value, word in allowed.items())
    values = numbers(column, where)
    missing = np.isnan(values)
    bad = np.flatnonzero((missing & (empty is None)) | (~missing & ~np.isin(values, list(allowed))))
    if len(bad):
        found = "is empty" if missing[bad[0]] else f"holds {values[bad[0]]:g}"
        raise DataError(
            f"{where} {found} in row {bad[0] + 1}; it may hold {meaning}; rename the column if it is a metric"
        )
    return np.where(missing, 0 if empty is None else empty, values).astype(np.int8)


def series_codes(column: pd.Series, where: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Which series each row belongs to: ``codes[N]`` into the names, in order of appearance. No cell may be empty."""
    missing = np.flatnonzero(column.isna().to_numpy())
    if len(missing):
        raise DataError(f"{where} is empty in row {missing[0] + 1}; every row must name its series")
    codes, names = pd.factorize(column)
    return codes, tuple(str(name) for name in names)


def times_ns(column: pd.Series, where: str, *, seconds_only: bool) -> np.ndarray:
    """The column as int64 nanoseconds since the epoch, UTC ``[N]``.

    Accepts timestamps, ISO 8601 text (without an offset it is UTC) and Unix numbers: seconds, and unless
    ``seconds_only`` also milli-, micro- or nanoseconds, distinguished by their magnitude.
    """
    column = _decoded(column)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        stamps = column
    elif pd.api.types.is_numeric_dtype(column.dtype):
        return _from_unix(column.to_numpy(dtype=np.float64, na_value=np.nan), column, where, seconds_only)
    else:
        text = _as_text(column)
        unix = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
        if not np.isnan(unix).any():
            return _from_unix(unix, None, where, seconds_only)
        stamps = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce")
    bad = np.flatnonzero(stamps.isna().to_numpy())
    if len(bad):
        raise _not_a_time(where, column.iloc[bad[0]], int(bad[0]) + 1)
    if stamps.dt.tz is not None:
        stamps = stamps.dt.tz_convert("UTC").dt.tz_localize(None)
    try:
        return np.asarray(stamps.dt.as_unit("ns").to_numpy(), dtype="datetime64[ns]").astype(np.int64)
    except (pd.errors.OutOfBoundsDatetime, OverflowError):
        raise DataError(f"{where} {_OUTSIDE}") from None


def _from_unix(values: np.ndarray, exact: pd.Series | None, where: str, seconds_only: bool) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise _not_a_time(where, values[bad[0]], int(bad[0]) + 1)
    largest = float(np.abs(values).max(initial=0))
    if seconds_only:
        over = np.flatnonzero(np.abs(values) > _EXACT_SECONDS)
        if len(over):
            raise DataError(
                f"{where} holds {values[over[0]]:.0f} in row {over[0] + 1}, which as Unix seconds lies beyond the year "
                "2262; name the column 'timestamp' if it holds milliseconds"
            )
        per_second = 1.0
    else:
        per_second = next(unit for limit, unit in _UNITS if largest < limit)
    scale = int(1e9 / per_second)
    if largest * scale > _EXACT_SECONDS * 1e9:
        raise DataError(f"{where} {_OUTSIDE}")
    if exact is not None and pd.api.types.is_integer_dtype(exact.dtype):
        return exact.to_numpy(dtype=np.int64) * scale
    # A float of seconds is good to about a quarter of a microsecond: rounded there, so that 0.1 s steps stay regular.
    return np.round(values * (scale / 1000)).astype(np.int64) * 1000


def _decoded(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.astype(column.cat.categories.dtype)
    return column


def _as_text(column: pd.Series) -> pd.Series:
    """Text without surrounding blanks; an empty string is an empty cell. Dates, decimals, flags become their text."""
    if column.dtype == object:
        column = column.map(_cell_text, na_action="ignore")
    text = column.astype("str").str.strip()
    return text.mask(text == "")


def _cell_text(cell: object) -> str:
    if isinstance(cell, bool):  # a flag with gaps
        return str(int(cell))
    return cell.isoformat() if isinstance(cell, dt.date) else str(cell)


def _not_numeric(where: str, value: str, row: int) -> DataError:
    shown = value if len(value) <= 40 else value[:39] + "…"
    return DataError(
        f"{where} is not numeric: it holds {shown!r} in row {row}; remove the column, or turn it into numbers "
        "(only t, time, timestamp, series and part may hold text)"
    )


def _not_a_time(where: str, value: object, row: int) -> DataError:
    content = "is empty" if bool(pd.isna(value)) else f"holds {str(value)[:40]!r}, which is not a time,"  # type: ignore[call-overload]
    return DataError(f"{where} {content} in row {row}; write Unix seconds or ISO 8601, like 2024-05-01T03:00:00Z")
