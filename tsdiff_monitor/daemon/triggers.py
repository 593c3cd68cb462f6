"""Times at which jobs fire: on a grid counted from the epoch, or at a time of day.

Both depend on nothing but the time, so a restarted process keeps the rhythm of the previous one. They replace
APScheduler's own, which count from the moment a job was added (``interval``) or skip a time of day that a change of
the clocks leaves out (``cron``). https://apscheduler.readthedocs.io/en/3.x/extending.html#custom-triggers
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger

__all__ = ["DailyTrigger", "GridTrigger"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOMENT = timedelta(microseconds=1)
_DAY = timedelta(days=1)


class GridTrigger(BaseTrigger):  # type: ignore[misc]  # APScheduler has no types
    """Fires at every multiple of ``every`` since the epoch, ``offset`` later."""

    def __init__(self, every: timedelta, offset: timedelta = timedelta(0)) -> None:
        self._every = every
        self._first = _EPOCH + offset % every

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first time on the grid that is neither past nor the previous one; times missed are passed over."""
        earliest = _earliest(previous_fire_time, now)
        return self._first - (self._first - earliest) // self._every * self._every  # rounds up


class DailyTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires at ``at`` in ``zone`` every ``days`` days, counted from the calendar's beginning.

    A time that a change of the clocks leaves out fires as much later; one that comes twice fires the first time.
    """

    def __init__(self, at: time, zone: ZoneInfo, days: int = 1) -> None:
        self._at = at
        self._zone = zone
        self._days = days

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """The first such time that is neither past nor the previous one."""
        earliest = _earliest(previous_fire_time, now)
        day = earliest.astimezone(self._zone).date()
        day += _DAY * (-day.toordinal() % self._days)
        fire = self._on(day.toordinal())
        return fire if fire >= earliest else self._on(day.toordinal() + self._days)

    def _on(self, ordinal: int) -> datetime:
        day = datetime.fromordinal(ordinal).date()
        return datetime.combine(day, self._at, tzinfo=self._zone).astimezone(UTC)


def _earliest(previous: datetime | None, now: datetime) -> datetime:
    return (now if previous is None else max(previous + _MOMENT, now)).astimezone(UTC)
