"""``deliveries`` as operators run it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event

CONFIG = """
settings: {{storage_path: {storage}}}
readers: {{sim: {{type: simulator}}}}
schedulers: {{minutely: {{infer_every: 1m}}}}
notifiers: {{oncall: {{type: console}}}}
monitors:
  fleet: {{reader: sim, scheduler: minutely, step: 1m, queries: {{all: "*"}}, notify: [oncall]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yml"
    path.write_text(CONFIG.format(storage=tmp_path / "data"))
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Delivery 1 is dead, 2 was made, 3 waits for a retry, 4 is dead and its notifier gone."""
    path, now = tmp_path / "data" / "state.sqlite", time.time()
    with Store(path) as store:
        for name, notifier in (("ab01", "oncall"), ("ab02", "oncall"), ("ab03", "oncall"), ("ab04", "gone")):
            event = example_event(id=name, group=(("host", "web\x1b[31m"),))
            store.commit("hosts", event.group, event.last, {}, [EventChange(Change.opened, event, 1)], [notifier])
        store.mark_dead(1, now - 7500, "auth", "the token was revoked\x1b[0m")
        store.mark_delivered(2, now)
        store.mark_failed(3, now, now + 600, "timeout", "no answer")
        store.mark_dead(4, now - 60, "unknown_notifier", "there is none")
    return path


def test_what_has_not_arrived(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """A line each with its number, state and reason; counts by notifier; no character that a terminal acts on."""
    outcome = cli("deliveries", "--config.file", config)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "1  dead  oncall  ab01/1 opened  hosts host=web?[31m  1 attempt, given up 2h5m ago"
    assert lines[1] == "    auth: the token was revoked?[0m"
    assert lines[2].startswith("3  pending  oncall  ab03/1 opened") and "next in 10m" in lines[2].replace(
        "9m59s", "10m"
    )
    assert lines[-2:] == [
        "gone: 1 dead; there is no notifier of this name any more",
        "oncall: 1 dead, 1 pending",
    ]
    assert "ab02" not in outcome.out


def test_only_the_dead(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """Deliveries that can still arrive by themselves are left out."""
    outcome = cli("deliveries", "--dead", "--config.file", config)
    assert "ab03" not in outcome.out
    assert "ab01" in outcome.out and "ab04" in outcome.out


def test_putting_all_back(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """All dead ones are due at once, while a daemon may hold the state open."""
    with Store(state) as daemon:
        outcome = cli("deliveries", "--retry", "all", "--config.file", config)
        assert (outcome.code, outcome.out) == (0, "put back: 2\n")
        assert [one.change.key for one in daemon.due(time.time(), 9)] == ["ab01/1", "ab04/1"]


def test_putting_some_back(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """Those named, each once; a number that is not among the dead is an error, the others are put back."""
    outcome = cli("deliveries", "--retry", "1", "--retry", "3", "--config.file", config)
    assert (outcome.code, outcome.out) == (1, "put back: 1\n")
    assert "error: not among the dead: 3; see `tsdiff-monitor deliveries --dead`" in outcome.err
    with Store(state) as store:
        assert store.counts() == {"pending": 2, "delivered": 1, "dead": 1}


def test_what_was_overtaken_is_said(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """It is not put back, and the reason is given."""
    with Store(state) as store:
        event = example_event(id="ab01")
        store.commit("hosts", event.group, event.last, {}, [EventChange(Change.updated, event, 2)], ["oncall"])
        store.mark_delivered(5, time.time())
    assert (
        "given up 2h5m ago; a later change of the event has arrived" in cli("deliveries", "--config.file", config).out
    )
    outcome = cli("deliveries", "--retry", "1", "--config.file", config)
    assert (outcome.code, outcome.out) == (0, "put back: 0\n")
    assert "left as they are: 1, since their notifier has taken a later change" in outcome.err


def test_nothing_to_send(cli: Callable[..., Any], config: Path, tmp_path: Path) -> None:
    """A state in which all has arrived says so."""
    Store(tmp_path / "data" / "state.sqlite").close()
    assert cli("deliveries", "--config.file", config).out == "nothing is pending, and nothing was given up\n"
    assert cli("deliveries", "--dead", "--config.file", config).out == "nothing was given up\n"


def test_a_number_that_is_none(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """A key in place of a number is a wrong call."""
    outcome = cli("deliveries", "--retry", "ab01/1", "--config.file", config)
    assert outcome.code == 2
    assert "'ab01/1' is no delivery" in outcome.err


def test_no_state(cli: Callable[..., Any], config: Path, tmp_path: Path) -> None:
    """A wrong storage path is said, and no empty state is made there."""
    outcome = cli("deliveries", "--config.file", config, "--storage.path", tmp_path / "elsewhere")
    assert outcome.code == 1
    assert "there is no state here" in outcome.err
    assert not (tmp_path / "elsewhere").exists()
