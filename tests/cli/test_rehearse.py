"""``tsdiff-monitor rehearse`` as users run it, on the simulator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.rehearsal.write import FILES
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event

END = pd.Timestamp("2026-01-06T12:00:00Z")


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Two simulated services with two metrics each that follow each other, and a baseline."""
    fleet = {"type": "simulator", "services": 2, "history": "24h", "replay": "12h", "incidents": []}
    monitor = {"reader": "fleet", "scheduler": "often", "step": "1m", "groupby": ["service"], "notify": ["terminal"]}
    return {
        "settings": {"storage_path": str(tmp_path / "data")},
        "readers": {"fleet": fleet},
        "models": {"default": {"type": "baseline", "window": 16}},
        "schedulers": {"often": {"infer_every": "1m"}},
        "notifiers": {"terminal": {"type": "console", "style": "json"}},
        "monitors": {
            "services": {
                **monitor,
                "queries": {"load": "requests_per_second", "cpu": "cpu_percent"},
                "alarms_per_week": 50,
            }
        },
    }


def rehearse(cli: Any, config: Path, *options: object) -> Any:
    return cli("rehearse", "--config.file", config, "--per-kind", 2, *options)


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_tables_and_files(cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """A row per kind and metric, what was done and what follows; the same files again; nothing is sent."""
    config = write_config(document)
    first = rehearse(cli, config, "--groups", 1, "--report", tmp_path / "out")
    assert first.code == 0, first.err
    assert "in the first 1 of 2 groups (see --groups), seed 0" in first.out
    assert "another level" in first.out and "of 2" in first.out
    assert "cpu" in first.out and "load" in first.out
    assert '"change"' not in first.out
    written = files_of(tmp_path / "out")
    assert set(written) == set(FILES)
    found = json.loads(written["rehearsal.json"])
    assert {one["kind"] for one in found["kinds"]} >= {"level_shift", "spike", "frozen", "missing"}
    assert {one["metric"] for one in found["metrics"]} == {"cpu", "load"}
    assert {one["found"] for one in found["kinds"] if one["kind"] in ("spike", "level_shift")} == {2}
    assert found["unnoticed"] == []
    assert b"Rehearsal of services" in written["rehearsal.html"]
    again = rehearse(cli, config, "--groups", 1, "--report", tmp_path / "out")
    assert again.out == first.out
    assert files_of(tmp_path / "out") == written
    assert "fitting" not in again.err


def test_send(cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """At most three events, each opened and resolved, each marked; it is said who took how many."""
    outcome = rehearse(cli, write_config(document), "--send", "--groups", 1)
    assert outcome.code == 0, outcome.err
    sent = [json.loads(line) for line in outcome.out.splitlines() if line.startswith("{")]
    assert 1 <= len(sent) // 2 <= 3
    assert [one["change"] for one in sent] == ["opened", "resolved"] * (len(sent) // 2)
    assert {one["details"]["mark"] for one in sent} == {"synthetic"}
    assert f"terminal took {len(sent)} of {len(sent)} messages" in outcome.out
    assert not (tmp_path / "data" / "state.sqlite").exists()


def test_the_daemon_is_not_disturbed(cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """While it holds its state: its events are known, and no byte of it changes."""
    daemon = tmp_path / "data"
    start = END - pd.Timedelta("11h")
    event = example_event(
        id="ab01", monitor="services", group=(("service", "gateway"),), start=start, last=END, end=END
    )
    with Store(daemon / "state.sqlite") as store:
        store.commit("services", event.group, END, {}, [EventChange(Change.resolved, event, 1)], ["terminal"])
        before = (daemon / "state.sqlite").read_bytes(), (daemon / "state.sqlite-wal").read_bytes()
        outcome = rehearse(cli, write_config(document), "--send")
        assert ((daemon / "state.sqlite").read_bytes(), (daemon / "state.sqlite-wal").read_bytes()) == before
        assert store.counts() == {"pending": 1, "delivered": 0, "dead": 0}
        assert [one.id for one in store.events()] == ["ab01"]
    assert outcome.code == 1  # the event leaves too few rows of its group
    assert "error: monitor services, service=gateway: 60 normal rows to put incidents into, but" in outcome.err
    assert "service=orders" in outcome.out
    assert "ab01" not in outcome.out


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--monitor", "nosuch"), 1, "monitors: there is no monitor 'nosuch' (it has: services)"),
        (("--end", "tomorrow-ish"), 2, "Invalid value for --end: 'tomorrow-ish' is not a time"),
        (("--per-kind", 0), 2, "Invalid value for '--per-kind'"),
        (("--end", "1980-01-01"), 1, "nowhere.csv: there is no such file"),
    ],
)
def test_options_that_fit_nothing(
    cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path, options: Any, code: int, said: str
) -> None:
    """Messages say what is wrong and what would be right; no report is left."""
    if "1980-01-01" in options:
        document["readers"] = {"fleet": {"type": "files", "path": str(tmp_path / "nowhere.csv")}}
        document["monitors"]["services"]["groupby"] = ["file"]
    outcome = rehearse(cli, write_config(document), "--report", tmp_path / "out", *options)
    assert outcome.code == code
    assert said in outcome.err
    assert not (tmp_path / "out").exists()


def test_no_one_to_send_to(cli: Any, write_config: Any, document: dict[str, Any]) -> None:
    """It is said at once, before anything is fit."""
    document["monitors"]["services"]["notify"] = []
    outcome = rehearse(cli, write_config(document), "--send")
    assert outcome.code == 1
    assert "monitors.services.notify: there is no notifier (name a notifier, or drop --send)" in outcome.err
    assert "fitting" not in outcome.err


def test_a_damaged_state(cli: Any, write_config: Any, document: dict[str, Any], tmp_path: Path) -> None:
    """It is named; nothing is rehearsed without the events it holds."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "state.sqlite").write_text("not a database, but long enough to look like one" * 50)
    outcome = rehearse(cli, write_config(document))
    assert outcome.code == 1
    assert "state.sqlite: the events known so far cannot be read" in outcome.err
