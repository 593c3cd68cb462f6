"""Tables and a plot of accuracy records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["per_method", "per_series", "plot", "published_note"]


def per_series(records: Sequence[dict[str, Any]]) -> str:
    """VUS-PR by series and method (mean over seeds), then the means; with published values where there are some."""
    table = _table(records)
    means = table.mean()
    order = means.sort_values(ascending=False).index
    table = table[order]
    table["best here"] = table.max(axis=1)
    if published := _published(records):
        values = pd.DataFrame(published).T.reindex(table.index)
        if "PCA" in values:
            table["published PCA"] = values["PCA"]
        table["published best of all"] = values.max(axis=1)
    table.loc["mean"] = table.mean()
    return table.to_string(float_format=lambda value: f"{value:.3f}", na_rep="-")


def per_method(records: Sequence[dict[str, Any]]) -> str:
    """One row per method: means over series, the spread of the mean over seeds, events and seconds per series."""
    data = pd.DataFrame([record for record in records if "error" not in record])
    rows = {}
    for name, of_method in data.groupby("method"):
        seeded = _by_seed(of_method)
        found = of_method.groupby("series")[["segments", "segments_found_at_1_per_week"]].mean().sum()
        delays = of_method["delay_rows"].dropna().astype(float)
        measures = ["vus_pr", "auc_pr", "best_f1", "fit_seconds", "score_seconds"]
        mean = of_method.astype(dict.fromkeys(measures, float)).groupby("series")[measures].mean().mean()
        rows[name] = {
            "VUS-PR": f"{mean['vus_pr']:.4f}",
            "± seeds": f"{seeded.std():.4f}" if len(seeded) > 1 else "-",
            "AUC-PR": f"{mean['auc_pr']:.3f}",
            "best F1": f"{mean['best_f1']:.3f}",
            "found at 1/week": f"{found['segments_found_at_1_per_week']:.0f} of {found['segments']:.0f}",
            "delay (rows)": "-" if delays.empty else f"{delays.median():.0f}",
            "fit (s)": f"{mean['fit_seconds']:.2f}",
            "score (s)": f"{mean['score_seconds']:.2f}",
            "series": of_method["series"].nunique(),
        }
    table = pd.DataFrame(rows).T
    return table.sort_values("VUS-PR", ascending=False).to_string()


def published_note(records: Sequence[dict[str, Any]]) -> str:
    """Figures of the best published method on these series, and of the oracle that picks the best for each; or ""."""
    published = _published(records)
    if not published:
        return ""
    values = pd.DataFrame(published).T
    means = values.mean()
    return (
        f"published for these {len(values)} series: best single method {means.idxmax()} {means.max():.3f}; "
        f"best of {values.shape[1]} methods for each series (oracle) {values.max(axis=1).mean():.3f}"
    )


def plot(records: Sequence[dict[str, Any]], path: Path, title: str) -> None:
    """Mean VUS-PR of each method as a bar, each series as a dot, the spread over seeds as a line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    table = _table(records)
    means = table.mean().sort_values()
    data = pd.DataFrame(list(records)).dropna(subset=["vus_pr"])
    seeds = {name: _by_seed(of_method).std() for name, of_method in data.groupby("method")}
    spread = np.nan_to_num(np.array([seeds[name] for name in means.index], dtype=float))
    figure = Figure(figsize=(8, 1 + 0.35 * len(means)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ours = [name.startswith("diffusion") for name in means.index]
    axes.barh(means.index, means, xerr=spread, color=["#2b6cb0" if own else "#a0aec0" for own in ours], height=0.7)
    for row, name in enumerate(means.index):
        axes.plot(table[name], np.full(len(table), row), "|", color="#1a202c", alpha=0.5, markersize=8)
        axes.text(0.995, row, f"{means[name]:.3f}", ha="right", va="center", transform=axes.get_yaxis_transform())
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("VUS-PR (bar: mean; strokes: series; line: spread over seeds)")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def _table(records: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """VUS-PR, series by method, mean over seeds; only series with anomalies."""
    data = pd.DataFrame(list(records)).dropna(subset=["vus_pr"])
    return data.astype({"vus_pr": float}).pivot_table(index="series", columns="method", values="vus_pr")


def _by_seed(of_method: pd.DataFrame) -> pd.Series:
    """A method's mean VUS-PR by seed, of the seeds that were run on all of its series: others are no comparison."""
    table = (
        of_method.dropna(subset=["vus_pr"])
        .astype({"vus_pr": float})
        .pivot(index="series", columns="seed", values="vus_pr")
    )
    return table.dropna(axis=1).mean()


def _published(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    return {record["series"]: record["published"] for record in records if record.get("published")}
