"""A clock and a store with events by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, Event, EventChange, Severity
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock

T0 = pd.Timestamp("2026-03-01T00:00:00Z")

Commit = Callable[..., None]


@pytest.fixture
def fake_clock() -> FakeClock:
    return FakeClock(T0.timestamp())


@pytest.fixture
def state(tmp_path: Path, fake_clock: FakeClock) -> Iterator[Store]:
    with Store(tmp_path / "state.db", now=fake_clock) as opened:
        yield opened


@pytest.fixture
def commit(state: Store) -> Commit:
    """Commits changes named like ``a/1``; with ``end``, they are resolutions."""

    def call(*keys: str, notifier: str = "inbox", end: pd.Timestamp | None = None) -> None:
        for key in keys:
            name, sequence = key.split("/")
            event = Event(name, "hosts", (), T0, T0, end or T0, end, 2.0, T0, Severity.info, ())
            what = Change.resolved if end else Change.opened if sequence == "1" else Change.updated
            state.commit("hosts", (), None, {}, [EventChange(what, event, int(sequence))], [notifier])

    return call
