"""Messages of a rehearsal."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import pytest

from tests.rehearsal.conftest import END
from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.rehearsal import Options, rehearse
from tsdiff_monitor.rehearsal.send import send
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock, MemoryNotifier

Events = list[tuple[EventChange, EventChange]]


@pytest.fixture
def played(make_pipeline: Any, tmp_path: Path) -> Any:
    """The monitor and its examples, as changes."""
    links = {"board": "https://grafana/d/x?event={event}"}
    with make_pipeline(notify=["pager"], links=links, calendar={"all": {"cron": "* * * * *", "lasts": "1m"}}) as base:
        monitor = base.monitor.model_copy(update={"calendar": {}})
        options = Options(per_kind=2, groups=1, examples=3)
        pipeline = dataclasses.replace(base, monitor=monitor)
        _, examples, errors = rehearse(pipeline, ModelStore(tmp_path / "models"), options, work=tmp_path, now=END)
        assert errors == []
        events = []
        for number, example in enumerate(examples):
            with Store(tmp_path / f"{number}.sqlite") as store:
                events.append(example.changes(END, store))
        yield base.monitor, events


def sent_to(played: Any, tmp_path: Path, notifier: Any, **options: Any) -> Any:
    monitor, events = played
    clock = FakeClock()
    routes = options.pop("routes", ())
    return send(
        events, monitor, routes, {"pager": notifier, **options}, tmp_path,
        now=clock, sleep=clock.advance, jitter=random.Random(0),
    )  # fmt: skip


def test_each_is_marked_and_resolved(played: Any, tmp_path: Path) -> None:
    """At most three events of different kinds: opened, resolved, marked, with a picture and links of their own."""
    pager = MemoryNotifier()
    (sent,) = sent_to(played, tmp_path, pager)
    assert (sent.notifier, sent.delivered, sent.wanted, sent.reasons) == ("pager", 6, 6, ())
    assert [one.change for one in pager.changes] == [Change.opened, Change.resolved] * 3
    assert all(one.details.mark == "synthetic" for one in pager.changes)
    assert len({one.event.id for one in pager.changes}) == 3
    for opened, resolved in zip(pager.changes[::2], pager.changes[1::2], strict=True):
        assert opened.event.id == resolved.event.id
        assert opened.event.monitor == "hosts"
        assert opened.event.end is None and resolved.event.end is not None
        assert opened.details.snapshot is not None and opened.details.snapshot.courses
        assert opened.details.links == {"board": f"https://grafana/d/x?event={opened.event.id}"}


def test_an_end_is_always_sent(played: Any, tmp_path: Path) -> None:
    """A notifier that was down for a moment gets both; an interruption leaves nothing open either."""
    down = DeliveryError("it is down", recoverable=True, reason="connect")
    pager = MemoryNotifier(failures=[down, down])
    (sent,) = sent_to(played, tmp_path, pager)
    assert (sent.delivered, sent.wanted) == (6, 6)

    class Interrupted(MemoryNotifier):
        def notify(self, change: EventChange) -> None:
            super().notify(change)
            if len(self.changes) == 1:
                raise KeyboardInterrupt

    again = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        sent_to(played, tmp_path / "again", again)
    assert [one.change for one in again.changes][-1] is Change.resolved
    assert len({one.event.id for one in again.changes}) == 1


def test_one_that_refuses_is_reported(played: Any, tmp_path: Path) -> None:
    """With its reason, while the others get theirs; a route that does not match sends nothing."""
    refused = [DeliveryError("no", recoverable=False, reason="client_error")] * 6
    sent = {
        one.notifier: one
        for one in sent_to(
            played,
            tmp_path,
            MemoryNotifier(failures=refused),
            routes=[Route(notifiers=("mail",)), Route(notifiers=("night",), monitors=("others",))],
            mail=MemoryNotifier(),
            night=MemoryNotifier(),
        )
    }
    assert sent["pager"].delivered == 0
    assert sent["pager"].reasons == ("client_error",)
    assert sent["mail"].delivered == 6
    assert "night" not in sent
