"""The plain page at ``/``: what is wrong right now, and where to find more. Every value is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tsdiff_monitor.events.event import Event
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["render_page"]

_LINKS = {
    "/api/v1/events": "events (JSON)",
    "/metrics": "metrics",
    "/-/ready": "readiness",
    "/-/healthy": "health",
    "/api/v1/status/buildinfo": "build",
}
_COLUMNS = ("severity", "monitor", "group", "since", "peak score", "culprits")


def render_page(events: Sequence[Event], *, not_ready: str, version: str) -> str:
    """The page as HTML; ``events`` are the open ones."""
    links = " · ".join(f'<a href="{path}">{escape(text)}</a>' for path, text in _LINKS.items())
    state = f"not ready: {not_ready}" if not_ready else "ready"
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    rows = "".join(_row(event) for event in events)
    table = f"<table><tr>{head}</tr>{rows}</table>" if events else "<p>No open events.</p>"
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>tsdiff-monitor</title></head><body>'
        f"<h1>tsdiff-monitor {escape(version)}</h1><p>{escape(state)}</p><p>{links}</p>"
        f"<h2>Open events</h2>{table}</body></html>"
    )


def _row(event: Event) -> str:
    cells = (
        event.severity.value,
        event.monitor,
        group_name(event.group),
        event.start.isoformat(),
        f"{event.peak:.2f}",
        ", ".join(f"{culprit.metric} {culprit.attribution:.0%}" for culprit in event.culprits),
    )
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
