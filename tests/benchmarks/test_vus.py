"""VUS-PR agrees with the published code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.vus import metric_window, vus_pr

SMD = Path(__file__).parents[2] / "../shared/data/smd/machine-2-1.parquet"


def test_value_of_the_published_code_on_a_synthetic_series() -> None:
    """The published implementation gives 0.703086968 on this series."""
    labels = np.zeros(200)
    labels[40:50] = labels[120:150] = 1
    score = np.sin(0.7 * np.arange(200)) + 0.8 * labels
    assert vus_pr(labels, score, 20) == pytest.approx(0.703086968, abs=1e-9)


@pytest.mark.shared_data
@pytest.mark.skipif(not SMD.exists(), reason="the labelled data beside the checkout is absent")
def test_value_of_the_published_code_on_a_real_machine() -> None:
    """The mean absolute z-score of SMD machine-2-1 reaches 0.23981 by the published implementation."""
    data = pd.read_parquet(SMD)
    metrics = data.drop(columns=["t", "split", "label"]).to_numpy(dtype=float)
    train, test = metrics[data["split"] == 0], metrics[data["split"] == 1]
    z = np.abs(test - train.mean(0)) / np.maximum(train.std(0), 0.01)
    labels = data.loc[data["split"] == 1, "label"].to_numpy()
    assert vus_pr(labels, z.mean(1), 125) == pytest.approx(0.23981, abs=2e-5)


def test_a_perfect_score_beats_a_reversed_one() -> None:
    """The metric rewards the right order and punishes the wrong one."""
    labels = np.zeros(300)
    labels[100:130] = 1
    assert vus_pr(labels, labels + 0.0, 10) > 0.9
    assert vus_pr(labels, -labels, 10) < 0.2


def test_window_is_the_period_of_the_first_metric_or_125() -> None:
    """A sine of period 24 gives 24; noise without a period and a constant give 125 or a bounded lag."""
    assert metric_window(np.sin(2 * np.pi * np.arange(2000) / 24)) in (23, 24, 25)
    assert metric_window(np.ones(500)) == 125
