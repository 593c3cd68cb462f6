"""The four files: their names, their schemas, whole and the same each time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tsdiff_monitor.backtest.report import FILES, summarise, write_report
from tsdiff_monitor.backtest.report.replay import Replay
from tsdiff_monitor.errors import OutputError
from tsdiff_monitor.events.event import Event


def test_the_folder_holds_the_four_files_and_nothing_else(labelled: Replay, tmp_path: Path) -> None:
    """A missing folder is made, and no temporary file stays in it."""
    summary = write_report(labelled, tmp_path / "deep" / "report")
    assert {path.name for path in (tmp_path / "deep" / "report").iterdir()} == set(FILES)
    assert summary == summarise(labelled)
    assert json.loads((tmp_path / "deep/report/summary.json").read_text()) == summary.to_json()


def test_events_round_trip_in_order(labelled: Replay, tmp_path: Path) -> None:
    """``events.jsonl`` holds every event once, by start, and reads back as it was."""
    write_report(labelled, tmp_path)
    events = [Event.from_json(json.loads(line)) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert events == sorted((e for g in labelled.groups for e in g.events), key=lambda event: event.start)


def test_scores_schema_and_values(labelled: Replay, tmp_path: Path) -> None:
    """``scores.parquet`` is long over groups, in UTC, with nulls where nothing was scored."""
    write_report(labelled, tmp_path)
    table = pq.read_table(tmp_path / "scores.parquet")
    assert table.schema.names == ["monitor", "group", "t", "anomaly_score", "top_metric", "top_attribution"]
    assert table.schema.field("t").type == pa.timestamp("ns", tz="UTC")
    assert table.num_rows == 1200
    assert set(table["group"].to_pylist()) == {"service=web", "service=db"}
    assert (
        table["anomaly_score"].null_count == table["top_metric"].null_count == table["top_attribution"].null_count == 30
    )
    first = labelled.groups[0].scores
    best = int(first.attribution[7].argmax())
    row = table.slice(7, 1).to_pylist()[0]
    assert row["top_metric"] == first.series[best].name
    assert row["top_attribution"] == pytest.approx(first.attribution[7, best])
    assert row["anomaly_score"] == pytest.approx(first.score[7])


def test_the_same_replay_gives_the_same_bytes(labelled: Replay, tmp_path: Path) -> None:
    """No clock, no counter and no random id enters a report."""
    for name in ("a", "b"):
        write_report(labelled, tmp_path / name)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_numbers_json_cannot_say_become_null(make, tmp_path: Path) -> None:
    """A NaN or an infinity in an event does not make the file unreadable for strict parsers."""
    event = make.event(100, 120, peak=math.inf)
    write_report(make.replay(make.group(events=[event])), tmp_path)

    def refuse(text: str) -> None:
        raise AssertionError(text)

    (line,) = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(line, parse_constant=refuse)["peak_score"] is None


def test_nothing_to_report_still_gives_all_files(make, tmp_path: Path) -> None:
    """Without any group the files are there, and empty."""
    write_report(make.replay(), tmp_path)
    assert (tmp_path / "events.jsonl").read_text() == ""
    assert pq.read_table(tmp_path / "scores.parquet").num_rows == 0


def test_a_folder_that_cannot_be_written_is_a_clear_error(labelled: Replay, tmp_path: Path) -> None:
    """The message names the path and the remedy."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"file.*cannot be written"):
        write_report(labelled, tmp_path / "file" / "report")
