"""``test-notify`` and ``feedback`` as users run them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event

CONFIG = """
settings: {{storage_path: {storage}}}
readers: {{sim: {{type: simulator}}}}
schedulers: {{minutely: {{infer_every: 1m}}}}
notifiers:
  terminal: {{type: console, style: json}}
  hook: {{type: webhook, url: "http://127.0.0.1:9/hunter2"}}
monitors:
  fleet: {{reader: sim, scheduler: minutely, step: 1m, queries: {{all: "*"}}, notify: [terminal, hook]}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "monitor.yml"
    path.write_text(CONFIG.format(storage=tmp_path / "data"))
    return path


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state of a daemon that has seen two events."""
    path = tmp_path / "data" / "state.sqlite"
    with Store(path) as store:
        for name, hour in (("ab01", 3), ("ab02", 5)):
            start = pd.Timestamp(f"2024-05-01T0{hour}:00:00Z")
            event = example_event(id=name, start=start, last=start, end=start + pd.Timedelta("25min"))
            store.commit("hosts", event.group, start, {}, [EventChange(Change.resolved, event, 1)], ())
    return path


def test_a_test_event_arrives(cli: Callable[..., Any], config: Path) -> None:
    """Opened and resolved, marked as a test, with a picture's data; the monitor that uses the notifier is named."""
    outcome = cli("test-notify", "terminal", "--config.file", config)
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    sent = [json.loads(line) for line in lines if line.startswith("{")]
    assert [one["change"] for one in sent] == ["opened", "resolved"]
    assert all(one["event"]["monitor"] == "fleet" for one in sent)
    assert all(one["details"]["mark"] == "test" and one["details"]["snapshot"]["courses"] for one in sent)
    assert "terminal (console) took the event's opened" in lines


def test_only_the_opening(cli: Callable[..., Any], config: Path) -> None:
    """With --leave-open, to see how an alert looks that lasts."""
    outcome = cli("test-notify", "terminal", "--config.file", config, "--leave-open")
    assert outcome.out.count("took the event's") == 1


def test_a_notifier_that_cannot_deliver(cli: Callable[..., Any], config: Path, tmp_path: Path) -> None:
    """Its own words, without the secret, and exit code 1; nothing is stored."""
    outcome = cli("test-notify", "hook", "--config.file", config)
    assert outcome.code == 1
    assert "http://127.0.0.1:9: the connection failed" in outcome.err
    assert "hunter2" not in outcome.err + outcome.out
    assert not (tmp_path / "data").exists()


def test_a_notifier_that_is_not_there(cli: Callable[..., Any], config: Path) -> None:
    """The name that may be meant is given."""
    outcome = cli("test-notify", "terminl", "--config.file", config)
    assert outcome.code == 1
    assert "there is no notifier named 'terminl' (did you mean `terminal`?" in outcome.err


def test_feedback_is_kept(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """With its note, while a daemon may hold the state open."""
    with Store(state) as daemon:
        outcome = cli("feedback", "ab01", "false", "--note", "a backup", "--config.file", config)
        assert (outcome.code, outcome.out) == (0, "ab01: false\n")
        assert daemon.feedback()["ab01"].note == "a backup"


def test_an_expected_event_proposes_a_calendar(cli: Callable[..., Any], config: Path, state: Path) -> None:
    """The lines to write into the configuration, for the next week's same hour, for this group."""
    outcome = cli("feedback", "ab02", "expected", "--config.file", config)
    assert outcome.code == 0
    assert "{cron: \"0 5 * * wed\", lasts: 25m, labels: {instance: 'web-1'}}" in outcome.err


@pytest.mark.parametrize(
    ("event", "said"),
    [("zz", "there is no event zz"), ("ab", "2 events begin with ab: ab0"), ("", "there is no event")],
)
def test_an_event_that_cannot_be_reported(
    cli: Callable[..., Any], config: Path, state: Path, event: str, said: str
) -> None:
    """Unknown and ambiguous ids are refused, and nothing is kept."""
    outcome = cli("feedback", event, "real", "--config.file", config)
    assert outcome.code == 1
    assert said in outcome.err
    with Store(state) as store:
        assert store.feedback() == {}


def test_no_state(cli: Callable[..., Any], config: Path, tmp_path: Path) -> None:
    """A wrong storage path is said, and no empty state is made there."""
    outcome = cli("feedback", "ab01", "real", "--config.file", config, "--storage.path", tmp_path / "elsewhere")
    assert outcome.code == 1
    assert "there is no state here" in outcome.err
    assert not (tmp_path / "elsewhere").exists()
