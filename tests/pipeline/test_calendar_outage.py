"""A calendar file that cannot be read: no one is silenced by it, and nothing stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader, MemoryWriter
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
STEP = pd.Timedelta("10min")
INCIDENT = 50  # rows after the history; it lasts 8
MakePipeline = Callable[..., Pipeline]
Make = Callable[..., Pipeline]


def write(path: Path, start: pd.Timestamp, end: pd.Timestamp) -> None:
    """One event from ``start`` to ``end``."""
    times = f"DTSTART:{start:%Y%m%dT%H%M%SZ}\nDTEND:{end:%Y%m%dT%H%M%SZ}"
    head = "BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//example//EN\nBEGIN:VEVENT\nUID:1"
    path.write_text(f"{head}\n{times}\nEND:VEVENT\nEND:VCALENDAR\n")


@pytest.fixture
def team(tmp_path: Path) -> Path:
    return tmp_path / "team.ics"


@pytest.fixture
def make(make_pipeline: MakePipeline, frames: dict[Group, Frame], team: Path) -> Make:
    """A monitor of web-1 with the calendar ``team``."""

    def build(effect: str, **others: Any) -> Pipeline:
        calendar = {"team": {"ics": str(team), "effect": effect}}
        monitor = {"alarms_per_week": 2.0, "calendar": calendar, "write": list(others.get("writers", {}))}
        return make_pipeline(MemoryReader({WEB_1: frames[WEB_1]}), monitor=monitor, **others)

    return build


def test_events_are_sent_while_the_file_is_gone(make: Make, team: Path, history_end: pd.Timestamp) -> None:
    """Deleted between two ticks, with a quiet time elsewhere: the incident is stored and due, the fault reported."""
    write(team, history_end, history_end + 5 * STEP)
    pipeline = make("quiet")
    assert pipeline.tick(history_end + 10 * STEP, since=history_end).calendar_errors == {}
    team.unlink()
    result = pipeline.tick(history_end + (INCIDENT + 30) * STEP)
    assert result.errors == []
    assert list(result.calendar_errors) == [team]
    assert len(pipeline.store.events()) == 1
    assert {one.notifier for one in pipeline.store.due(1e12, 100)} == {"inbox"}


def test_a_known_quiet_time_stays_quiet(make: Make, team: Path, history_end: pd.Timestamp) -> None:
    """Maintenance that was announced is not paged for because the file server is away."""
    write(team, history_end + (INCIDENT - 1) * STEP, history_end + (INCIDENT + 40) * STEP)
    pipeline = make("quiet")
    pipeline.tick(history_end + 10 * STEP, since=history_end)
    team.unlink()
    assert pipeline.tick(history_end + (INCIDENT + 30) * STEP).changes
    assert pipeline.store.due(1e12, 100) == []


def test_a_file_that_never_was_there_silences_nothing(make: Make, history_end: pd.Timestamp) -> None:
    """Not knowing whether a time is quiet, the monitor notifies."""
    pipeline = make("quiet")
    result = pipeline.tick(history_end + (INCIDENT + 30) * STEP, since=history_end)
    ((_, error),) = result.calendar_errors.items()
    assert "it counts as empty" in str(error)
    assert {one.notifier for one in pipeline.store.due(1e12, 100)} == {"inbox"}


def test_scoring_goes_on_with_what_is_excluded(make: Make, team: Path, history_end: pd.Timestamp) -> None:
    """Rows of the last content are left out, all others are scored; a new file counts from the next tick on."""
    first, last = history_end + INCIDENT * STEP, history_end + (INCIDENT + 10) * STEP
    write(team, first, last)
    writer = MemoryWriter()
    pipeline = make("exclude", writers={"kept": writer})
    pipeline.tick(history_end + 10 * STEP, since=history_end)
    team.unlink()
    result = pipeline.tick(history_end + (INCIDENT + 20) * STEP)
    assert (result.errors, result.rows) == ([], INCIDENT + 10)
    scores = writer.batches[-1].scores
    inside = np.asarray((scores.times >= first) & (scores.times < last))
    assert np.isnan(scores.score[inside]).all() and np.isfinite(scores.score[~inside]).all()

    write(team, last + 10 * STEP, last + 15 * STEP)
    assert pipeline.tick(history_end + (INCIDENT + 40) * STEP).calendar_errors == {}
    assert np.isnan(writer.batches[-1].scores.score[:5]).all()


def test_no_file_is_read_inside_a_transaction(
    make: Make, team: Path, history_end: pd.Timestamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recipients of a change are decided from memory: a slow file server must not hold the database."""
    write(team, history_end, history_end + 5 * STEP)
    pipeline, touched = make("quiet"), []
    commit, stat, open_ = pipeline.store.commit, Path.stat, Path.open

    def watched(*args: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", lambda path, **k: (touched.append(path), stat(path, **k))[1])
            patch.setattr(Path, "open", lambda path, *a, **k: (touched.append(path), open_(path, *a, **k))[1])
            return commit(*args)

    monkeypatch.setattr(pipeline.store, "commit", watched)
    assert pipeline.tick(history_end + (INCIDENT + 30) * STEP, since=history_end).changes
    assert team not in touched


def test_a_fit_goes_by_the_last_content(make: Make, team: Path, history_end: pd.Timestamp) -> None:
    """It reports the file too, and does not end for it."""
    write(team, history_end - 20 * STEP, history_end - 10 * STEP)
    pipeline = make("quiet")
    frame = pipeline.read(pipeline.request(history_end - 100 * STEP, history_end)).frames[WEB_1]
    pipeline.history(WEB_1, frame)
    team.unlink()
    result = pipeline.fit(history_end, only_missing=True)
    assert (result.current, list(result.calendar_errors)) == ([WEB_1], [team])
    assert np.isnan(pipeline.history(WEB_1, frame).values[80:90]).all()
