"""Feedback on events, and the alarm rate that follows from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.pipeline.alarm_rate import seen_per_week
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event

BEGAN = pd.Timestamp("2026-03-01T00:00:00Z")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state.db", now=lambda: 0.0) as opened:
        yield opened


def add_event(store: Store, name: str, start: pd.Timestamp, monitor: str = "hosts") -> None:
    event = dataclasses.replace(example_event(), id=name, monitor=monitor, start=start, confirmed=start, last=start)
    store.commit(monitor, (), None, {}, [EventChange(Change.opened, event, 1)], ())


def test_the_newest_word_counts(store: Store) -> None:
    """One entry an event, by monitor or for all; it is kept with its note and time."""
    add_event(store, "a", BEGAN)
    add_event(store, "b", BEGAN, monitor="cards")
    store.give_feedback("a", "real", "", 1.0)
    store.give_feedback("a", "false", "the backup", 2.0)
    store.give_feedback("b", "expected", "", 3.0)
    assert list(store.feedback("hosts")) == ["a"]
    assert store.feedback()["a"].verdict == "false"
    assert (store.feedback()["a"].note, store.feedback()["a"].given) == ("the backup", 2.0)
    assert store.feedback()["b"].verdict == "expected"


def test_an_event_that_no_one_saw_gets_no_feedback(store: Store) -> None:
    """The error names it; nothing is kept."""
    with pytest.raises(StoreError, match="no event nope"):
        store.give_feedback("nope", "real", "", 1.0)
    assert store.feedback() == {}


def test_alarm_rate(store: Store) -> None:
    """Events a week since the monitor began, four weeks back at most; those called real or expected do not count."""
    assert seen_per_week(store, "hosts", BEGAN) is None
    store.commit("hosts", (), BEGAN, {}, [], ())
    assert seen_per_week(store, "hosts", BEGAN + pd.Timedelta("23h")) is None
    for day, name in enumerate("abcd", start=1):
        add_event(store, name, BEGAN + pd.Timedelta(days=day))
    assert seen_per_week(store, "hosts", BEGAN + pd.Timedelta("7D")) == 4
    assert seen_per_week(store, "cards", BEGAN + pd.Timedelta("7D")) is None
    for name, verdict in (("a", "real"), ("b", "false"), ("c", "expected")):
        store.give_feedback(name, verdict, "", 0.0)  # type: ignore[arg-type]
    assert seen_per_week(store, "hosts", BEGAN + pd.Timedelta("14D")) == 1
    assert seen_per_week(store, "hosts", BEGAN + pd.Timedelta("31D")) == 0.25  # b is older than four weeks
