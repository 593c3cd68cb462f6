"""Details of changes: their JSON form."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.testing import example_change, example_details


def test_json_keeps_everything() -> None:
    """Picture, links and rates survive the store; a change without details has no such key."""
    change = example_change(details=example_details())
    assert EventChange.from_json(json.loads(json.dumps(change.to_json()))) == change
    assert "details" not in example_change().to_json()
    assert EventChange.from_json(example_change().to_json()) == example_change()


@given(
    st.none() | st.floats(0, 1e3),
    st.none() | st.floats(0, 1e3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=9), max_size=2),
)
def test_what_is_not_known_is_left_out(allowed: float | None, seen: float | None, links: dict[str, str]) -> None:
    """Any combination of what is known reads back as it was."""
    details = Details(None, links, allowed, seen)
    raw = details.to_json()
    assert Details.from_json(raw) == details
    assert None not in raw.values()


def test_snapshot_times() -> None:
    """One time for each row, from the start on."""
    snapshot = example_details().snapshot
    assert snapshot is not None
    assert len(snapshot.times) == len(snapshot.score) == len(snapshot.courses[0].actual)
    assert snapshot.times[0] == snapshot.start
    assert snapshot.times[1] - snapshot.times[0] == snapshot.step
