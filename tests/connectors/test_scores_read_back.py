"""Scores that `once` writes are found by a PromQL query, beside the metrics that they are about."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pandas as pd
import yaml

from tests.connectors.conftest import PrometheusServer

NOW = pd.Timestamp("2026-01-06T00:00:00Z")


def test_once_writes_what_promql_finds(prometheus_server: PrometheusServer, tmp_path: Path) -> None:
    """Score, actual and expected values with their band, by monitor, group and metric, up to the newest row."""
    url = prometheus_server(fresh=True)
    document = {
        "settings": {"storage_path": str(tmp_path / "data")},
        "readers": {"fleet": {"type": "simulator", "services": 1}},
        "models": {"default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 20, "fit_window": "10h"}},
        "schedulers": {"often": {"infer_every": "10m"}},
        "monitors": {
            "services": {
                "reader": "fleet", "scheduler": "often", "step": "1m", "groupby": ["service"],
                "queries": {"all": "*"}, "write": ["scores"], "provide_series": True,
            }
        },
        "writers": {"scores": {"type": "remote_write", "url": f"{url}/api/v1/write"}},
    }  # fmt: skip
    path = tmp_path / "monitor.yml"
    path.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "tsdiff_monitor", "once", "--config.file", path, "--now", NOW.isoformat()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    counted = "count by (__name__) ({monitor='services', service='gateway'})"
    at = (NOW - pd.Timedelta("1min")).timestamp()
    answer = httpx.get(f"{url}/api/v1/query", params={"query": counted, "time": str(at)}).json()
    found = {one["metric"]["__name__"]: int(one["value"][1]) for one in answer["data"]["result"]}
    metrics = found.pop("y")
    assert found.pop("anomaly_score") == 1
    assert metrics > 3
    assert {name: found[name] for name in ("yhat", "yhat_lower", "yhat_upper")} == dict.fromkeys(
        ("yhat", "yhat_lower", "yhat_upper"), metrics
    )
