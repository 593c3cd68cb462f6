"""Times in text, as SQLite keeps them, in UTC."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from zoneinfo import ZoneInfo

__all__ = ["utc_microseconds"]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


@lru_cache(maxsize=64)  # a statement asks several times for each row
def utc_microseconds(text: str | None, zone: str) -> int | None:
    """Microseconds since the epoch of an ISO 8601 text; one without an offset is local time in ``zone``.

    An hour that comes twice (in autumn) is taken for its second coming and one that never comes (in spring) is counted
    on from before the change, as PostgreSQL does. Raises ``ValueError`` for any other text.
    """
    if text is None:
        return None
    time = dt.datetime.fromisoformat(text.strip())
    if time.tzinfo is None:
        place = ZoneInfo(zone)
        offsets = (time.replace(tzinfo=place, fold=fold).utcoffset() or dt.timedelta(0) for fold in (0, 1))
        time = time.replace(tzinfo=dt.timezone(min(offsets)))
    return (time - _EPOCH) // _MICROSECOND
