"""Guarantee 1: no event is lost or doubled, wherever the process dies."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tsdiff_monitor.events.state import TrackerState
from tsdiff_monitor.events.tracker import EventTracker
from tsdiff_monitor.store.store import Store

WORKER = Path(__file__).with_name("crashing_worker.py")
_spec = importlib.util.spec_from_file_location("crashing_worker", WORKER)
assert _spec is not None and _spec.loader is not None
worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker)


def live(directory: Path, *, statement: int = 0, notification: int = 0) -> int:
    """One life of the worker; returns its exit status, 9 when it was killed."""
    arguments = [sys.executable, str(WORKER), str(directory), str(statement), str(notification)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 9), done.stderr
    return done.returncode


@pytest.mark.parametrize(
    "lives",
    [
        [{"statement": n} for n in (3, 14, 25, 36, 47)],
        [{"notification": 1}, {"statement": 31}, {"notification": 3}, {"statement": 58}, {"notification": 2}],
    ],
)
def test_a_killed_process_loses_and_doubles_nothing(tmp_path: Path, lives: list[dict[str, int]]) -> None:
    """After any number of kills, the history equals that of an undisturbed run, and every notifier has all of it.

    Killed between sending and noting it, a process sends that one change again, with the same key.
    """
    undisturbed = EventTracker(worker.POLICY, "hosts", (), TrackerState()).advance(worker.make_scores(), worker.explain)
    assert len(undisturbed) >= 12 and len({change.event.id for change in undisturbed}) >= 3
    for life in lives:
        assert live(tmp_path, **life) == 9
    assert live(tmp_path) == 0

    expected = {f"{change.key} {change.change.value}" for change in undisturbed}
    with Store(tmp_path / "state.db") as store:
        events = {change.event.id for change in undisturbed}
        assert {event.id for event in store.events()} == events
        history = [change for event in events for change in store.changes(event)]
        assert sorted(history, key=lambda c: c.event.last) == undisturbed
        assert store.counts() == {"pending": 0, "delivered": 2 * len(undisturbed), "dead": 0}
    for name in worker.NOTIFIERS:
        sent = (tmp_path / name).read_text().splitlines()
        assert set(sent) == expected
        assert len(sent) - len(expected) <= len(lives)
        for event in events:
            firsts = list(dict.fromkeys(line for line in sent if line.startswith(event)))
            assert [int(line.split("/")[1].split()[0]) for line in firsts] == list(range(1, len(firsts) + 1))
