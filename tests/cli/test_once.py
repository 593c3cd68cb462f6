"""``tsdiff-monitor once``."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event

Row = Callable[[int], str]


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def config(write_config: Any, document: dict[str, Any]) -> Path:
    return write_config(document)


def test_cycle_after_cycle(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """The first run fits and scores; later ones score what is new; changes come out as JSON lines and nothing else."""
    first = cli("once", "--config.file", config, "--now", at(300))
    assert (first.code, first.out) == (0, "")
    assert "fitting hosts file=web-1: 30/30" in first.err
    assert "monitor hosts: 2 rows of 2 groups scored" in first.err

    second = cli("once", "--config.file", config, "--now", at(400))
    assert second.code == 0
    assert "fitting" not in second.err
    assert "monitor hosts: 200 rows of 2 groups scored" in second.err
    changes = lines(second.out)
    assert {change["event"]["group_name"] for change in changes} == {"file=web-2"}
    assert changes[0]["change"] == "opened"
    assert changes[-1]["change"] == "resolved"
    assert {culprit["metric"] for culprit in changes[0]["event"]["culprits"]} <= {"cpu", "io", "net"}

    third = cli("once", "--config.file", config, "--now", at(400))
    assert (third.code, third.out) == (0, "")
    assert "monitor hosts: 0 rows of 0 groups scored" in third.err
    assert f"no new rows before {at(400)}" in third.err
    with Store(tmp_path / "data" / "state.sqlite") as store:
        assert {event.id for event in store.events()} == {change["event"]["id"] for change in changes}


def test_an_unreadable_calendar_is_a_warning(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path
) -> None:
    """It is named with its remedy, by `fit` too; everything is scored all the same."""
    document["monitors"]["hosts"]["calendar"] = {"team": {"ics": str(tmp_path / "team.ics"), "effect": "exclude"}}
    config = write_config(document)
    said = f"warning: monitor hosts: {tmp_path / 'team.ics'}: the calendar cannot be read"
    fit = cli("fit", "--config.file", config, "--now", at(300))
    assert (fit.code, fit.err.count(said)) == (0, 1)
    once = cli("once", "--config.file", config, "--now", at(300))
    assert (once.code, once.err.count(said)) == (0, 1)
    assert "monitor hosts: 2 rows of 2 groups scored" in once.err


def test_notifiers_learn_of_events_too(cli: Any, write_config: Any, document: dict[str, Any], at: Row) -> None:
    """The output of a console notifier goes to standard error: standard output holds JSON lines only."""
    document["notifiers"] = {"terminal": {"type": "console", "style": "plain"}}
    document["monitors"]["hosts"]["notify"] = ["terminal"]
    config = write_config(document)
    cli("once", "--config.file", config, "--now", at(300))
    outcome = cli("once", "--config.file", config, "--now", at(400))
    assert outcome.code == 0
    assert [change["change"] for change in lines(outcome.out)][-1] == "resolved"
    assert "RESOLVED" in outcome.err


def test_one_failing_monitor_stops_no_other(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path
) -> None:
    """The other is scored and its events are printed; the exit code is 1 and the error names monitor and file."""
    document["readers"]["broken"] = {"type": "files", "path": str(tmp_path / "nowhere.csv")}
    broken = {**document["monitors"]["hosts"], "reader": "broken"}
    document["monitors"] = {"broken": broken, **document["monitors"]}
    config = write_config(document)
    cli("once", "--config.file", config, "--now", at(300))
    outcome = cli("once", "--config.file", config, "--now", at(400))
    assert outcome.code == 1
    assert lines(outcome.out)
    assert f"error: monitor broken: {tmp_path / 'nowhere.csv'}: there is no such file" in outcome.err


def test_old_events_are_forgotten(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path
) -> None:
    """As by the daemon: what is over for longer than ``keep_events``, by the rows and not by the clock."""
    document["settings"]["keep_events"] = "28d"
    config = write_config(document)
    cli("once", "--config.file", config, "--now", at(300))
    with Store(tmp_path / "data" / "state.sqlite") as store:
        for name, days in (("old", 29), ("young", 27)):
            end = pd.Timestamp(at(299)) - pd.Timedelta(days=days)
            event = example_event(id=name, start=end, last=end, end=end)
            store.commit("hosts", event.group, None, {}, [EventChange(Change.resolved, event, 1)], ())
    outcome = cli("once", "--config.file", config)  # years after the last row
    assert outcome.code == 0
    assert "1 old event forgotten" in outcome.err
    with Store(tmp_path / "data" / "state.sqlite") as store:
        assert "young" in {event.id for event in store.events()} and store.event("old") is None
    assert "forgotten" not in cli("once", "--config.file", config).err


def test_groups_that_are_gone_are_forgotten(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path
) -> None:
    """As by the daemon, after ``keep_groups``."""
    document["settings"]["keep_groups"] = "2d"
    config = write_config(document)
    cli("once", "--config.file", config, "--now", at(300))
    with Store(tmp_path / "data" / "state.sqlite") as store:
        here = store.groups("hosts")
        store.commit("hosts", (("file", "gone"),), pd.Timestamp(at(0)) - pd.Timedelta(days=2), {}, [], ())
    assert "1 group forgotten, of which nothing is read any more" in cli("once", "--config.file", config).err
    with Store(tmp_path / "data" / "state.sqlite") as store:
        assert store.groups("hosts") == here
    assert "forgotten" not in cli("once", "--config.file", config).err


def card_of(tmp_path: Path, group: str) -> Path:
    (card,) = (tmp_path / "data" / "models" / "hosts").glob(f"file={group}-*/card.json")
    return card


def test_a_model_of_another_version_is_fit_again(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """The message names the card and both versions; the model is replaced and the group scored."""
    cli("once", "--config.file", config, "--now", at(300))
    card = card_of(tmp_path, "web-1")
    card.write_text(card.read_text().replace('"schema_version": 3', '"schema_version": 77'))
    outcome = cli("once", "--config.file", config, "--now", at(310))
    assert outcome.code == 0
    assert f"{card}: card schema version 77, but this version reads 3; fit again" in outcome.err
    assert "monitor hosts: 20 rows of 2 groups scored" in outcome.err
    assert json.loads(card.read_text())["schema_version"] == 3


def test_damaged_weights_are_fit_again(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """The message names the file; no other group is fit."""
    cli("once", "--config.file", config, "--now", at(300))
    (weights,) = card_of(tmp_path, "web-2").parent.glob("weights-*")
    weights.write_bytes(b"\0" * 100)
    outcome = cli("once", "--config.file", config, "--now", at(310))
    assert outcome.code == 0
    assert f"{weights}: damaged, its checksum is not the card's; fit again" in outcome.err
    assert "fitting hosts file=web-2" in outcome.err
    assert "fitting hosts file=web-1" not in outcome.err


def test_metrics_that_differ_from_the_fit_are_named(
    cli: Any, config: Path, at: Row, tmp_path: Path, table: pd.DataFrame
) -> None:
    """A vanished metric is a warning and scored as missing; with none left, the group is an error, the other scored."""
    cli("once", "--config.file", config, "--now", at(300))
    table.drop(columns="net").to_csv(tmp_path / "metrics" / "web-1.csv", index=False)
    outcome = cli("once", "--config.file", config, "--now", at(310))
    assert outcome.code == 0
    assert "warning: monitor hosts: group file=web-1: metrics of the model that are missing now: net" in outcome.err
    table.rename(columns={"cpu": "a", "io": "b", "net": "c"}).to_csv(tmp_path / "metrics" / "web-1.csv", index=False)
    outcome = cli("once", "--config.file", config, "--now", at(320))
    assert outcome.code == 1
    assert "error: monitor hosts, file=web-1: none of the metrics is one the model was fit on" in outcome.err
    assert "new: a, b, c; missing: cpu, io, net" in outcome.err
    assert "monitor hosts: 10 rows of 1 group scored" in outcome.err


def test_too_little_history_is_a_warning(cli: Any, config: Path, at: Row, tmp_path: Path, table: pd.DataFrame) -> None:
    """A group that is too young today is fit later: the message has the numbers, and the run has not failed."""
    table.loc[295:].to_csv(tmp_path / "metrics" / "web-1.csv", index=False)
    outcome = cli("once", "--config.file", config, "--now", at(300))
    assert (outcome.code, outcome.out) == (0, "")
    said = "not fit yet: fitting needs at least one window of 16 rows, but there are 5"
    assert f"warning: monitor hosts: file=web-1: {said}" in outcome.err
    assert "monitor hosts: 1 row of 1 group scored" in outcome.err


def test_a_group_too_young_for_its_model_is_scored_by_the_cold_start(
    cli: Any, write_config: Any, document: dict[str, Any], at: Row, tmp_path: Path, table: pd.DataFrame
) -> None:
    """That it cannot be fit is a warning, and it is scored all the same; the note says by what."""
    document["models"]["default"]["window"] = 64
    document["models"]["default"]["fit_window"] = "3d"
    table.loc[250:].to_csv(tmp_path / "metrics" / "web-1.csv", index=False)
    outcome = cli("once", "--config.file", write_config(document), "--now", at(300))
    assert outcome.code == 0
    assert "file=web-1: not fit yet: fitting needs at least one window of 64 rows, but there are 50" in outcome.err
    assert "monitor hosts: 2 rows of 2 groups scored" in outcome.err
    assert "monitor hosts: 1 group scored by the cold start, for want of a fitted model" in outcome.err


def test_storage_can_be_elsewhere(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """``--storage.path`` replaces the setting."""
    outcome = cli("once", "--config.file", config, "--now", at(300), "--storage.path", tmp_path / "other")
    assert outcome.code == 0
    assert (tmp_path / "other" / "state.sqlite").exists()
    assert not (tmp_path / "data").exists()


def test_storage_that_cannot_be_written_is_named(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """A path below a file is refused with the path and a remedy."""
    (tmp_path / "file").write_text("")
    outcome = cli("once", "--config.file", config, "--now", at(300), "--storage.path", tmp_path / "file" / "data")
    assert outcome.code == 1
    assert f"error: {tmp_path / 'file' / 'data'}: the state cannot be kept here" in outcome.err


def test_full_standard_output_is_an_error(cli: Any, config: Path, at: Row, tmp_path: Path) -> None:
    """Events that could not be printed are not lost: they are in the store."""
    cli("once", "--config.file", config, "--now", at(300))
    command = [sys.executable, "-m", "tsdiff_monitor", "once", "--config.file", str(config), "--now", at(400)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    assert done.returncode == 1
    assert "error: monitor hosts: standard output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    with Store(tmp_path / "data" / "state.sqlite") as store:
        assert store.events()
