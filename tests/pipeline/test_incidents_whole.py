"""An incident and its members are stored as one, wherever the process dies and whichever group is in the way."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.events.event import Change, EventChange, ResolveReason
from tsdiff_monitor.pipeline.commit import Committed, Outcome, commit_outcomes
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import MemoryReader, example_event
from tsdiff_monitor.timeseries.frame import Group

T0 = pd.Timestamp("2026-03-01T00:00:00Z")
MINUTE = pd.Timedelta(minutes=1)
MakePipeline = Callable[..., Pipeline]


def host(number: int) -> Group:
    return (("instance", f"web-{number}"),)


def changed(number: int, at: int, sequence: int, change: Change, **fields: Any) -> EventChange:
    """A change at minute ``at`` of the one event of a host."""
    ended = {"end": T0 + MINUTE * at, "reason": ResolveReason.calm} if change is Change.resolved else {}
    defaults = {"id": f"web-{number}", "group": host(number), "start": T0, "confirmed": T0 + MINUTE}
    event = example_event(**defaults | {"last": T0 + MINUTE * at} | ended | fields)
    return EventChange(change, event, sequence)


def scored(*changes: EventChange, last: pd.Timestamp | None = None) -> Outcome:
    newest = changes[-1].event
    return Outcome(newest.group, changes, last or newest.last, {"at": str(newest.last)}, rows=1)


TICKS = (
    [scored(changed(n, 1, 1, Change.opened)) for n in range(3)],
    [
        scored(changed(0, 2, 2, Change.updated)),
        scored(changed(3, 2, 1, Change.opened, confirmed=T0 + 2 * MINUTE)),
    ],
    [scored(changed(n, 9, 2 if n else 3, Change.resolved)) for n in range(4)],
)
"""Three hosts are an incident, a fourth joins it, all end: each tick all of the groups that are due."""


def commit(pipeline: Pipeline, outcomes: Sequence[Outcome]) -> Committed:
    return commit_outcomes(pipeline.spec, pipeline.store, outcomes)


def live(pipeline: Pipeline, ticks: Sequence[Sequence[Outcome]] = TICKS) -> None:
    """Go on where the stored state ends, as a restarted process does."""
    for tick in ticks:
        known = pipeline.store.last_scored(pipeline.name)
        due = [one for one in tick if one.last is not None and known.get(one.group, T0) < one.last]
        done = commit(pipeline, due)
        assert done.errors == []
        assert done.outcomes == due


def facts(store: Store) -> tuple[list[EventChange], list[str]]:
    """The history, and what is to be delivered."""
    changes = [change for event in store.events() for change in store.changes(event.id)]
    sent = [f"{one.notifier} {one.change.key}" for one in store.undelivered()]
    return sorted(changes, key=lambda change: change.key), sorted(sent)


class CrashError(BaseException):
    """The process dies here."""


def mortal(folder: Path, dead: Path, statement: list[int]) -> type[sqlite3.Connection]:
    """Dies before a statement, counted down; what is left on the disk at that moment is in ``dead``."""

    class Mortal(sqlite3.Connection):
        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            statement[0] -= 1
            if statement[0] == 0:
                shutil.copytree(folder, dead, ignore=shutil.ignore_patterns("*-shm"))
                raise CrashError
            return super().execute(*arguments)

    return Mortal


@pytest.fixture
def bare(make_pipeline: MakePipeline) -> Callable[[Store], Pipeline]:
    """A pipeline without models, for what is scored already."""
    return lambda store: make_pipeline(MemoryReader({}), bare=True, store=store, monitor={"step": "1m"})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite") as opened:
        yield opened


def test_a_crash_never_leaves_half_an_incident(bare: Callable[[Store], Pipeline], tmp_path: Path) -> None:
    """Before each single statement: the store is as after a whole tick, and the next life makes up for the rest."""
    wholes = []
    with Store(tmp_path / "undisturbed.sqlite") as store:
        for tick in [[], *TICKS]:
            live(bare(store), [tick])
            wholes.append(facts(store))
    assert [len(changes) for changes, _ in wholes] == [0, 3 + 1, 3 + 1 + 3, 3 + 1 + 3 + 5]

    crashed_after = set()
    for number in range(1, 1000):
        folder, dead, countdown = tmp_path / f"{number}", tmp_path / f"{number}-dead", [0]
        with Store(folder / "state.sqlite", factory=mortal(folder, dead, countdown)) as store:
            countdown[0] = number
            try:
                live(bare(store))
            except CrashError:
                pass
            else:
                break
        with Store(dead / "state.sqlite") as store:
            crashed_after.add(wholes.index(facts(store)))
            live(bare(store))
            assert facts(store) == wholes[-1]
    assert number > 45
    assert crashed_after == {0, 1, 2}


def test_a_group_that_cannot_be_committed_is_no_member(bare: Callable[[Store], Pipeline], store: Store) -> None:
    """The others are sent without it, no one waits; when it can be committed it joins them."""
    pipeline = bare(store)
    store.commit("hosts", host(3), T0 + 5 * MINUTE, None, [], [])  # by another process, it seems
    first = [scored(changed(n, 1, 1, Change.opened)) for n in range(4)]
    result = commit(pipeline, first)
    assert [where for where, _ in result.errors] == ["instance=web-3"]
    assert "already scored up to 2026-03-01T00:05:00" in str(result.errors[0][1])
    (incident,) = [event for event in store.events() if event.members]
    assert {member.group for member in incident.members} == {host(0), host(1), host(2)}
    assert {event.group for event in store.events() if not event.members} == {host(0), host(1), host(2)}
    assert len(result.outcomes) == 3

    commit(pipeline, [scored(changed(3, 1, 1, Change.opened), last=T0 + 6 * MINUTE)])
    sent = [one.change for one in store.undelivered()]
    assert [(change.change, len(change.event.members)) for change in sent] == [(Change.opened, 3), (Change.updated, 4)]


def test_when_an_incident_cannot_be_sent_its_members_are(bare: Callable[[Store], Pipeline], store: Store) -> None:
    """A bug that only the incident meets: many messages are better than none, and the bug's text stays hidden."""

    class Broken(Route):
        def matches(self, change: EventChange, at: pd.Timestamp) -> bool:
            if change.event.members:
                raise ValueError("hunter2")
            return super().matches(change, at)

    pipeline = dataclasses.replace(bare(store), routes=(Broken(notifiers=("pager",)),))
    result = commit(pipeline, TICKS[0])
    assert [where for where, _ in result.errors] == ["incidents"]
    assert "hunter2" not in str(result.errors[0][1])
    assert {one.change.event.group for one in store.undelivered()} == {host(0), host(1), host(2)}
    assert not any(event.members for event in store.events())


@pytest.mark.parametrize("method", ["events", "sequences", "notified", "commit_tick"])
def test_a_store_out_of_order_is_an_error_of_each_group(
    bare: Callable[[Store], Pipeline], store: Store, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Wherever it fails, nothing is done and nothing is sent in pieces; the same tick succeeds when it is in order."""

    def full(*_: object, **__: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, method, full)
        result = commit(bare(store), TICKS[0])
    assert [(where, str(error)) for where, error in result.errors] == [
        (f"instance=web-{n}", "the disk is full") for n in range(3)
    ]
    assert (result.outcomes, result.changes, store.events()) == ([], [], [])
    live(bare(store))
    assert len([event for event in store.events() if event.members]) == 1
