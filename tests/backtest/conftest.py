"""Small backtests: a simulated fleet of two services, half a day to fit on, a quarter of a day with one incident."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

WriteConfig = Callable[[Mapping[str, Any]], Path]


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    incident = {"kind": "cpu_saturation", "service": "gateway", "after": "2h", "lasts": "40m", "severity": 3}
    return {
        "settings": {"storage_path": str(tmp_path / "data")},
        "readers": {
            "fleet": {"type": "simulator", "services": 2, "history": "12h", "replay": "6h", "incidents": [incident]}
        },
        "models": {
            "default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 30, "samples": 8, "fit_window": "12h"}
        },
        "schedulers": {"often": {"infer_every": "1m"}},
        "monitors": {
            "services": {
                "reader": "fleet",
                "scheduler": "often",
                "step": "1m",
                "groupby": ["service"],
                "alarms_per_week": 5.0,
                "queries": {"all": "*"},
            }
        },
    }


@pytest.fixture
def write_config(tmp_path: Path) -> WriteConfig:
    def write(document: Mapping[str, Any], name: str = "monitor.yml") -> Path:
        path = tmp_path / name
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    return write
