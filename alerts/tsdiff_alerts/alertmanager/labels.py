"""An event's names in Alertmanager: labels that stay the same, annotations that give the numbers.

Names: https://prometheus.io/docs/concepts/data_model/#metric-names-and-labels
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tsdiff_alerts.message.phrases import duration_text, number_text, time_text, top_culprits
from tsdiff_alerts.message.plain_text import culprit_line, plain_text, title_text
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.http.address import parse_url
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["LABEL", "OWN_LABELS", "annotations_of", "labels_of", "link_of"]

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OWN_LABELS = ("alertname", "incident", "kind", "monitor", "severity")
"""Labels that the notifier sets itself; a group's label of that name is called ``exported_<name>``."""


def labels_of(group: Group, own: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """The labels that identify an alert: its own, the group's under valid names, and of ``extra`` what is left.

    They depend on nothing that changes while an event lasts but ``own``.
    """
    labels = dict(own)
    for label, value in group:
        name = _valid(label)
        name = f"exported_{name}" if name in OWN_LABELS else name
        spare, number = name, 2
        while spare in labels:  # two names that differ only in what is not allowed
            spare, number = f"{name}_{number}", number + 1
        if value:
            labels[spare] = value
    return {**{name: value for name, value in extra.items() if name not in labels}, **labels}


def annotations_of(change: EventChange) -> dict[str, str]:
    """Text for people: a title, the message, its numbers one by one, and the links."""
    event = change.event
    found = {
        "summary": title_text(change),
        "description": plain_text(change, title=False),
        "severity": event.severity.value,
        "score": number_text(event.peak),
        "peak_time": time_text(event.peak_time),
        "duration": duration_text(event.duration_seconds),
        "event": event.id,
    }
    for number, culprit in enumerate(top_culprits(event)[0], start=1):
        found[f"culprit_{number}"] = culprit_line(culprit)
    details = change.details
    if details.seen_per_week is not None:
        found["alarms_per_week"] = f"{details.seen_per_week:.1f}"
    if details.allowed_per_week is not None:
        found["alarms_per_week_allowed"] = f"{details.allowed_per_week:g}"
    for name, address in details.links.items():
        found[f"{_valid(name)}_url"] = address
    return found


def link_of(change: EventChange) -> str | None:
    """Target of the alert's source link: the dashboard, or else the first link; None where there is none."""
    links = change.details.links
    found = links.get("dashboard") or next(iter(links.values()), "")
    return found if parse_url(found) is not None else None


def _valid(name: str) -> str:
    """``name`` with everything that a label name may not hold replaced by ``_``."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return name if LABEL.fullmatch(name) else f"_{name}"
