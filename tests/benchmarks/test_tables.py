"""The tables of ``benchmarks.accuracy``."""

from __future__ import annotations

from typing import Any

from benchmarks.tables import per_method


def record(series: str, seed: int, vus_pr: float) -> dict[str, Any]:
    measured = {"auc_pr": 0.5, "best_f1": 0.5, "fit_seconds": 1.0, "score_seconds": 1.0, "delay_rows": 0.0}
    found = {"segments": 2, "segments_found_at_1_per_week": 1}
    return {"series": series, "method": "m", "seed": seed, "vus_pr": vus_pr, **measured, **found}


def test_a_series_run_with_more_seeds_weighs_no_more() -> None:
    """The mean is over series; the spread is over those seeds alone that all series were run with."""
    records = [record("a", seed, vus_pr) for seed, vus_pr in enumerate((0.2, 0.3, 0.4))]
    records += [record("b", 0, 0.9), record("b", 1, 0.9)]
    row = per_method(records).splitlines()[1].split()
    assert float(row[1]) == (0.3 + 0.9) / 2
    assert float(row[2]) == 0.0354  # deviation of .55 and .60; seed 2 alone would make it .40
    assert row[-1] == "2"


def test_one_seed_has_no_spread() -> None:
    """A dash, and not a zero that would look like a measurement."""
    assert per_method([record("a", 0, 0.2), record("b", 0, 0.4)]).splitlines()[1].split()[2] == "-"
