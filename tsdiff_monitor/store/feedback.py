"""People's verdicts on events: the feedback part of the store."""

from __future__ import annotations

from typing import Literal

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.feedback import Feedback
from tsdiff_monitor.system.database import Database

__all__ = ["VERDICTS", "FeedbackBook", "Verdict"]

Verdict = Literal["real", "false", "expected"]
"""An incident; nothing at all; or a true deviation that needs no notification (a planned job, a holiday)."""

VERDICTS: tuple[Verdict, ...] = ("real", "false", "expected")


class FeedbackBook:
    """Feedback in ``database``, at most one entry for each event: the newest."""

    _database: Database

    def give_feedback(self, event_id: str, verdict: Verdict, note: str, now: float) -> None:
        """Keep what was said at ``now`` (Unix seconds) instead of what was said before.

        Raises :class:`StoreError` when there is no such event.
        """
        with self._database.transaction() as connection:
            if connection.execute("SELECT 1 FROM events WHERE id = ?", (event_id,)).fetchone() is None:
                raise StoreError(f"{self._database.path}: there is no event {event_id}; every message names its event")
            connection.execute(
                "INSERT INTO feedback (event_id, verdict, note, given) VALUES (?, ?, ?, ?) ON CONFLICT (event_id) "
                "DO UPDATE SET verdict = excluded.verdict, note = excluded.note, given = excluded.given",
                (event_id, verdict, note, now),
            )

    def feedback(self, monitor: str | None = None) -> dict[str, Feedback]:
        """Event id to what was said of it, of one monitor's events or of all."""
        rows = self._database.read(
            "SELECT f.event_id, f.verdict, f.note, f.given FROM feedback f JOIN events e ON e.id = f.event_id "
            "WHERE ? IS NULL OR e.monitor = ? ORDER BY f.given",
            (monitor, monitor),
        )
        return {event_id: Feedback(verdict, note, given) for event_id, verdict, note, given in rows}
