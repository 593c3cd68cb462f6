"""The few incidents of a rehearsal that are sent to people, to show what a real message would look like."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.events.tracker import event_id
from tsdiff_monitor.injection import InjectedAnomaly
from tsdiff_monitor.pipeline.alarm_rate import seen_per_week
from tsdiff_monitor.pipeline.annotate import linked
from tsdiff_monitor.rehearsal.incidents import Round
from tsdiff_monitor.rehearsal.trial import Sandbox, Scenario
from tsdiff_monitor.store.store import Store

__all__ = ["MARK", "Example", "Examples"]

MARK = "synthetic"

_LEAD = 5
_PICTURE_ROWS = 90
_PREFERRED = ("level_shift", "dropped", "frozen", "generated_pushed", "spike", "drift", "noise")


@dataclass(frozen=True, eq=False)
class Example:
    """One incident that was found, with the rows around it, to be replayed with everything a message shows."""

    sandbox: Sandbox
    scenario: Scenario
    kind: str

    def changes(self, now: pd.Timestamp, store: Store) -> tuple[EventChange, EventChange] | None:
        """The event's opening and its end, marked as synthetic, under an id that no other event will ever have.

        ``store`` must hold nothing of the group. None if this time there is no event. Raises what stopped the scoring.
        """
        made = self.sandbox.perform(self.scenario, store)
        opened = next((change for change in made if change.change is Change.opened), None)
        if opened is None:
            return None
        last = [change for change in made if change.event.id == opened.event.id][-1]
        ended = dataclasses.replace(last.event, end=last.event.end or last.event.last + self.sandbox.pipeline.step)
        return self._marked(opened, 1, now), self._marked(EventChange(Change.resolved, ended, 2, last.details), 2, now)

    def _marked(self, change: EventChange, sequence: int, now: pd.Timestamp) -> EventChange:
        pipeline, event = self.sandbox.pipeline, change.event
        name = event_id(f"{pipeline.name}/{MARK}/{self.kind}", event.group, now)
        event = dataclasses.replace(event, id=name)
        details = dataclasses.replace(
            change.details,
            mark=MARK,
            links=linked(pipeline.monitor.links, event),
            seen_per_week=seen_per_week(pipeline.store, pipeline.name, event.last),
        )
        return EventChange(change.change, event, sequence, details)


class Examples:
    """The first incident found of each kind, of which ``most`` are chosen."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[str, Example] = {}

    def offer(self, sandbox: Sandbox, rows: Round, incident: InjectedAnomaly) -> None:
        """Take an incident that was found in a round; it is kept without the others, and with rows for it to end in."""
        if not self._most or incident.kind in self._kept:
            return
        values = sandbox.history.frame.values[sandbox.history.first :].copy()
        values[incident.start : incident.end] = rows.values[incident.start : incident.end]
        end = incident.end + sandbox.detector.window + 2 * sandbox.pipeline.monitor.events.resolve_rows
        scenario = sandbox.scenario(values, incident.start - _LEAD, end, context=_PICTURE_ROWS)
        self._kept[incident.kind] = Example(sandbox, scenario, incident.kind)

    def chosen(self) -> tuple[Example, ...]:
        """Of different kinds, the ones that show most first."""
        order: Mapping[str, int] = {kind: place for place, kind in enumerate(_PREFERRED)}
        kinds = sorted(self._kept, key=lambda kind: (order.get(kind, len(order)), kind))
        return tuple(self._kept[kind] for kind in kinds[: self._most])
