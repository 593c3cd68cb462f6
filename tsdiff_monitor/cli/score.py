"""``tsdiff-monitor score``: score a table of metrics, without any configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import Advance, note, progress

if TYPE_CHECKING:
    import numpy as np

    from tsdiff_monitor.detector import DiffusionDetector
    from tsdiff_monitor.frame import Frame
    from tsdiff_monitor.scores import Scores
    from tsdiff_monitor.tables import Table

__all__ = ["command"]


def command(
    input_file: Annotated[Path, typer.Option("--input", metavar="FILE", help="Table to score (Parquet or CSV).")],
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="Where scores go (.parquet or .csv).")],
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="FILE", help="Table to fit on; left out: the input's rows with split 0."),
    ] = None,
    provide_series: Annotated[
        bool,
        typer.Option("--provide-series", help="Add yhat, yhat_lower, yhat_upper and attribution of every metric."),
    ] = False,
    alarms_per_week: Annotated[
        float, typer.Option(min=1e-6, help="False events a week that a score of 1 stands for.")
    ] = 1.0,
    fit_steps: Annotated[int, typer.Option(min=10, help="Optimisation steps of the fit.")] = 500,
    seed: Annotated[int, typer.Option(help="The same data and seed give the same scores.")] = 0,
) -> None:
    """Score a table: fit on its history, write an anomaly score per row (above 1 is anomalous).

    The table has a time column `t` and a numeric column per metric. Without --train and without a column `split`, the
    model is fit on the whole input, which works as long as most of it is normal.

    Example: tsdiff-monitor score --train normal.parquet --input today.parquet --output scores.parquet
    """
    from tsdiff_monitor.errors import OutputError
    from tsdiff_monitor.outputs import atomic_path, check_writable
    from tsdiff_monitor.tables import read_table, to_frame

    if output.suffix not in (".parquet", ".csv"):
        raise OutputError(f"{output}: name the output .parquet or .csv")
    check_writable(output)
    table = read_table(input_file)
    history = table if train is None else read_table(train)
    for one in {table, history}:
        for warning in one.warnings:
            note(f"warning: {one.path}: {warning}")
    fit_rows = None
    if train is None and table.split is not None and (table.split == 0).any():
        fit_rows = table.split == 0
    elif train is None:
        note(f"{input_file}: no rows with split 0 and no --train: fitting on the whole input")
    step = history.step
    fit_frame, _ = to_frame(history, step=step, rows=fit_rows)
    frame, at = to_frame(table, step=step)

    from tsdiff_monitor.config.models import DiffusionModelConfig
    from tsdiff_monitor.detector import DiffusionDetector

    config = DiffusionModelConfig(fit_steps=fit_steps, seed=seed)
    with progress() as advance:
        detector = DiffusionDetector.fit(
            fit_frame, config, progress=lambda done, total: advance("fitting", done, total)
        )
        scores = detector.score(frame, mode="batch", alarms_per_week=alarms_per_week)
        columns = _columns(table, at, scores)
        if provide_series:
            columns |= _series_columns(detector, frame, at, scores, advance)
    with atomic_path(output) as path:
        _write(columns, path)
    high = int((scores.score[at] > 1).sum())
    note(f"{output}: {len(at):,} rows scored, {high:,} of them above 1")


def _columns(table: Table, at: np.ndarray, scores: Scores) -> dict[str, np.ndarray]:
    """One row per time of the input; ``t`` in Unix seconds."""
    whole = not (table.times_ns % 1_000_000_000).any()
    t = table.times_ns // 1_000_000_000 if whole else table.times_ns / 1e9
    return {"t": t, "anomaly_score": scores.score[at]}


def _series_columns(
    detector: DiffusionDetector, frame: Frame, at: np.ndarray, scores: Scores, advance: Advance
) -> dict[str, np.ndarray]:
    """Per metric: expected value with band, given the other metrics, and the share of the score."""
    import numpy as np

    names = [series.name for series in scores.series]
    halves = [half for half in (names[::2], names[1::2]) if half]
    found: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
    for done, half in enumerate(halves):
        expected = detector.expected(frame, half)
        for k, series in enumerate(expected.series):
            found[series.name] = (expected.yhat[at, k], expected.yhat_lower[at, k], expected.yhat_upper[at, k])
        advance("expected values", done + 1, len(halves))
    out: dict[str, np.ndarray] = {}
    for k, name in enumerate(names):
        parts = zip(("yhat", "yhat_lower", "yhat_upper"), found[name], strict=True)
        out |= {f"{part}.{name}": np.asarray(values, np.float32) for part, values in parts}
        out[f"attribution.{name}"] = scores.attribution[at, k]
    return out


def _write(columns: dict[str, np.ndarray], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path, compression="zstd")
