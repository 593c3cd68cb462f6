"""Tiny labelled folders: correlated waves, with an excursion that is labelled in the test half."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.gaussian_pair import optimal_imputer
from tsdiff_monitor.diffusion.imputer import Imputer

ROWS = 600
INCIDENT = slice(450, 460)

MakeTable = Callable[..., pd.DataFrame]


@pytest.fixture
def make_table() -> MakeTable:
    """A wide table of two splits of 300 rows; rows 450 to 459 are anomalous in value and label."""

    def make(seed: int = 0, metrics: int = 3) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        wave = np.sin(np.arange(ROWS) * 2 * np.pi / 24)[:, None]
        values = wave * (1 + np.arange(metrics)) + rng.normal(0, 0.1, (ROWS, metrics))
        values[INCIDENT] += 8
        table = pd.DataFrame(values.astype(np.float32), columns=[f"m{k}" for k in range(metrics)])
        table.insert(0, "t", np.arange(ROWS, dtype=np.int64) * 60)
        table["split"] = (np.arange(ROWS) >= ROWS // 2).astype(np.int8)
        table["label"] = np.int8(0)
        table.loc[: ROWS // 2 - 1, "label"] = -1
        table.loc[INCIDENT.start : INCIDENT.stop - 1, "label"] = 1
        return table

    return make


@pytest.fixture
def folder(tmp_path: Path, make_table: MakeTable) -> Path:
    """Two machines, ``a`` and ``b``."""
    data = tmp_path / "data"
    data.mkdir()
    for seed, name in enumerate("ab"):
        make_table(seed).to_parquet(data / f"{name}.parquet")
    return data


@pytest.fixture
def lengths(tmp_path: Path) -> Path:
    """Prefix lengths for machine ``a`` alone, with two published methods."""
    path = tmp_path / "lengths.csv"
    path.write_text("machine,benchmark_file,train_rows,PCA,CNN\na,001_a.csv,100,0.25,0.75\n")
    return path


@pytest.fixture(scope="session")
def gaussian_pair() -> Imputer:
    """The optimal imputer of two metrics with correlation 0.8."""
    return optimal_imputer()
