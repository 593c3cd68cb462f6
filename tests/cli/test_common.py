"""The common parts of the commands."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd
import pytest
import typer

from tsdiff_monitor.cli.common import Errors, collecting, count, emit, parse_time, progress, report_errors
from tsdiff_monitor.errors import DataError, OutputError


@pytest.mark.parametrize(
    "text",
    ["2026-01-05T13:30:00Z", "2026-01-05 13:30", "2026-01-05T14:30:00+01:00", "1767619800", "1767619800.0"],
)
def test_ways_to_write_a_time(text: str) -> None:
    """ISO 8601 with or without an offset, and Unix seconds; UTC comes out."""
    assert parse_time(text, "--now") == pd.Timestamp("2026-01-05T13:30:00Z")


def test_no_time_given() -> None:
    """A left-out option is no time."""
    assert parse_time(None, "--now") is None


def test_what_stops_one_stops_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Errors are collected with their place; of unplanned ones the text is not shown, for it may hold a secret."""
    errors: Errors = []
    with collecting(errors, "monitor a"):
        raise DataError("no rows; fix the query")
    with collecting(errors, "monitor b"):
        raise KeyError("hunter2")
    with pytest.raises(KeyboardInterrupt), collecting(errors, "monitor c"):
        raise KeyboardInterrupt
    with pytest.raises(typer.Exit) as ended:
        report_errors(errors)
    assert ended.value.exit_code == 1
    first, second = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert first == "error: monitor a: no rows; fix the query"
    assert second.startswith("error: monitor b: unexpected KeyError at ")
    assert "hunter2" not in second


def test_no_errors_no_exit(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing went wrong: nothing is said, and the command ends as it would."""
    report_errors([])
    assert capsys.readouterr() == ("", "")


def test_progress_is_plain_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """The first and the last step of each piece of work, on standard error."""
    with progress() as advance:
        for done in range(1, 1001):
            advance("fitting a", done, 1000)
        advance("fitting b", 1, 1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["fitting a: 1/1000", "fitting a: 1000/1000", "fitting b: 1/1"]


def test_output_that_no_one_reads_is_an_error(tmp_path: Path) -> None:
    """A full device is reported once, and what follows goes nowhere instead of failing again."""
    with Path("/dev/full").open("w") as full:
        with pytest.raises(OutputError, match="standard output cannot be written: No space left on device"):
            emit("line", full)
        emit("line", full)


def test_lines_come_out_as_they_are() -> None:
    """No wrapping, no markup."""
    stream = io.StringIO()
    emit('{"a": "[b]"}' + "x" * 300, stream)
    assert stream.getvalue() == '{"a": "[b]"}' + "x" * 300 + "\n"


def test_nouns() -> None:
    """One is singular."""
    assert [count(n, "row") for n in (0, 1, 1234)] == ["0 rows", "1 row", "1,234 rows"]
