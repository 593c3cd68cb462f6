"""``tsdiff-monitor check sources`` as a user runs it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from tsdiff_monitor.cli.check import app

CONFIG = """
readers: {{sim: {{type: simulator}}}}
models: {{default: {{fit_window: 1d}}}}
schedulers: {{minutely: {{infer_every: 1m}}}}
monitors:
  fleet: {{reader: sim, scheduler: minutely, step: 1m, groupby: [service], queries: {queries}}}
"""


def written(tmp_path: Path, queries: str) -> Path:
    path = tmp_path / "c.yml"
    path.write_text(CONFIG.format(queries=queries) + f"settings: {{storage_path: {tmp_path}/state}}\n")
    return path


def test_each_query_is_reported(tmp_path: Path) -> None:
    """Groups, series, rows and gaps; the configured storage, which a daemon may hold, is not touched."""
    result = CliRunner().invoke(app, ["sources", str(written(tmp_path, '{all: "*"}'))])
    assert result.exit_code in (0, 3)
    assert "monitor fleet: reader sim (simulator)" in result.stdout
    assert "  all: " in result.stdout and "1,440 rows" in result.stdout
    assert not (tmp_path / "state").exists()


def test_a_query_that_fails_is_an_error(tmp_path: Path) -> None:
    """Exit code 1, with the source's own words; the other query is reported all the same."""
    result = CliRunner().invoke(app, ["sources", str(written(tmp_path, '{all: "*", unusual: no_such_metric}'))])
    assert result.exit_code == 1
    assert "error: " in result.stdout and "no_such_metric" in result.stdout
    assert "  all: " in result.stdout
    assert "a query failed" in result.stderr
