"""The same history gives the same verdicts, whichever real server it comes from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
import yaml

from tests.connectors.conftest import PrometheusServer

START = pd.Timestamp("2024-05-01T00:00:00Z")
FIT, ROWS = 600, 900
METRICS = ("cpu", "load", "requests", "memory")
INSTANCES = ("web-1", "web-2")


def values_of(instance: str) -> pd.DataFrame:
    """Four float32 metrics on common waves; one leaves them for 40 rows."""
    rng = np.random.default_rng(INSTANCES.index(instance))
    t = np.arange(ROWS)
    waves = np.stack([np.sin(t / 9), np.cos(t / 21)], 1) @ rng.normal(size=(2, len(METRICS)))
    values = 10 + waves + 0.1 * rng.normal(size=(ROWS, len(METRICS)))
    values[700:740, 1] += 6
    return pd.DataFrame(values.astype(np.float32), columns=list(METRICS))


def seconds() -> np.ndarray:
    return int(START.timestamp()) + 60 * np.arange(ROWS)


def samples() -> list[tuple[str, str, float, int]]:
    """``(metric, instance, value, Unix seconds)``, a metric's samples together; the instance is the label ``file``."""
    frames = {instance: values_of(instance) for instance in INSTANCES}
    return [
        (metric, instance, float(value), int(at))
        for metric in METRICS
        for instance, frame in frames.items()
        for value, at in zip(frame[metric], seconds(), strict=True)
    ]


def verdicts(folder: Path, reader: Mapping[str, Any], queries: Mapping[str, str]) -> tuple[pd.DataFrame, list[str]]:
    """Scores and events of a backtest whose report goes into ``folder``."""
    folder.mkdir()
    document = {
        "settings": {"storage_path": str(folder / "data")},
        "readers": {"source": dict(reader)},
        "models": {"default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 30, "fit_window": "10h"}},
        "schedulers": {"often": {"infer_every": "1m"}},
        "monitors": {
            "hosts": {
                "reader": "source", "scheduler": "often", "step": "1m", "groupby": ["file"],
                "alarms_per_week": 5.0, "queries": dict(queries),
            }
        },
    }  # fmt: skip
    config = folder / "monitor.yml"
    config.write_text(yaml.safe_dump(document))
    start, end = (str(START + pd.Timedelta(minutes=rows)) for rows in (FIT, ROWS))
    command = [
        sys.executable,
        "-m",
        "tsdiff_monitor",
        "backtest",
        "--config.file",
        config,
        "--report",
        folder / "report",
    ]
    done = subprocess.run(
        [*command, "--start", start, "--end", end],
        capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    scores = pd.read_parquet(folder / "report" / "scores.parquet")
    return scores, (folder / "report" / "events.jsonl").read_text().splitlines()


@pytest.fixture(scope="module")
def from_parquet(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, list[str]]:
    """The backtest over files, which the others must equal."""
    folder = tmp_path_factory.mktemp("parquet")
    for instance in INSTANCES:
        values_of(instance).assign(t=seconds()).to_parquet(folder / f"{instance}.parquet")
    found = verdicts(folder / "out", {"type": "files", "path": str(folder / "*.parquet")}, {m: m for m in METRICS})
    assert len(found[0]) == len(INSTANCES) * (ROWS - FIT)
    assert found[1], "no event to compare"
    return found


def same(found: tuple[pd.DataFrame, list[str]], wanted: tuple[pd.DataFrame, list[str]]) -> None:
    """Row for row, score for score, event for event."""
    pd.testing.assert_frame_equal(found[0], wanted[0])
    assert found[1] == wanted[1]


def test_prometheus(
    from_parquet: tuple[pd.DataFrame, list[str]], prometheus_server: PrometheusServer, tmp_path: Path
) -> None:
    """Backfilled into the real Prometheus."""
    lines = [f'same_{metric}{{file="{file}"}} {value!r} {at}' for metric, file, value, at in samples()]
    url = prometheus_server(history="\n".join([*lines, "# EOF\n"]))
    queries = {metric: f"same_{metric}" for metric in METRICS}
    same(verdicts(tmp_path / "out", {"type": "prometheus", "url": url}, queries), from_parquet)


def test_victoriametrics(from_parquet: tuple[pd.DataFrame, list[str]], victoria_server: str, tmp_path: Path) -> None:
    """Imported into the real VictoriaMetrics, read through the same API."""
    lines = [f'same_{metric}{{file="{file}"}} {value!r} {at * 1000}' for metric, file, value, at in samples()]
    imported = httpx.post(f"{victoria_server}/api/v1/import/prometheus", content="\n".join(lines) + "\n")
    assert imported.status_code == 204
    httpx.get(f"{victoria_server}/internal/force_flush").raise_for_status()
    queries = {metric: f"same_{metric}" for metric in METRICS}
    same(verdicts(tmp_path / "out", {"type": "prometheus", "url": victoria_server}, queries), from_parquet)


def test_influxdb(from_parquet: tuple[pd.DataFrame, list[str]], influx1_server: str, tmp_path: Path) -> None:
    """Written into the real InfluxDB 1.6 as line protocol, read through InfluxQL."""
    httpx.post(f"{influx1_server}/query", params={"q": "CREATE DATABASE same"}).raise_for_status()
    lines = [f"host,file={file} {metric}={value!r} {at}" for metric, file, value, at in samples()]
    written = httpx.post(
        f"{influx1_server}/write", params={"db": "same", "precision": "s"}, content="\n".join(lines), timeout=30
    )
    assert written.status_code == 204, written.text
    reader = {"type": "influxdb", "version": 1, "url": influx1_server, "database": "same"}
    queries = {metric: f"host.{metric} | last by (file)" for metric in METRICS}
    same(verdicts(tmp_path / "out", reader, queries), from_parquet)
