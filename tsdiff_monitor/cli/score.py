"""``tsdiff-monitor score``: score a table of metrics, without any configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tsdiff_monitor.cli.common import Advance, count, note, progress

if TYPE_CHECKING:
    import numpy as np

    from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.timeseries.frame import Frame
    from tsdiff_monitor.timeseries.scores import Scores
    from tsdiff_monitor.timeseries.tables import Table

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
    from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
    from tsdiff_monitor.system.atomic_files import atomic_path
    from tsdiff_monitor.timeseries.tables import to_frame

    _check_output(output, (input_file, train))
    table = _read(input_file)
    history = table if train is None else _read(train)
    _check_metrics(table, history)
    step = history.step
    if history.irregular:
        note(f"warning: {history.path}: the times are irregular; they are put on a grid of {step.total_seconds():g} s")
    fit_frame, _ = to_frame(history, step, None if train else _history_rows(table))
    frame, at = to_frame(table, step)
    if train and len(table) > 1 and table.step != step:
        apart = f"{table.step.total_seconds():g} s apart, those of {train} {step.total_seconds():g} s"
        note(f"warning: {input_file}: the rows are {apart}: they are scored on a grid of the latter")
    config = DiffusionModelConfig(fit_steps=fit_steps, seed=seed)
    with progress() as advance:
        detector = _fit(history, fit_frame, config, advance)
        scores = detector.score(frame, mode="batch", alarms_per_week=alarms_per_week)
        columns = {"t": _seconds(table.times_ns), "anomaly_score": scores.score[at]}
        if provide_series:
            columns |= _series_columns(detector, frame, at, scores, advance)
    with atomic_path(output) as path:
        _write(columns, path)
    note(f"{output}: {count(len(at), 'row')} scored, {int((scores.score[at] > 1).sum()):,} of them above 1")


def _check_output(output: Path, inputs: tuple[Path | None, ...]) -> None:
    """Before anything long begins."""
    from tsdiff_monitor.errors import OutputError
    from tsdiff_monitor.system.atomic_files import check_writable

    if output.suffix not in (".parquet", ".csv"):
        raise OutputError(f"{output}: name the output .parquet or .csv")
    if any(path is not None and output.resolve() == path.resolve() for path in inputs):
        raise OutputError(f"{output}: this is a table to read, the scores would replace it; choose another --output")
    check_writable(output)


def _read(path: Path) -> Table:
    from tsdiff_monitor.timeseries.tables import read_table

    table = read_table(path)
    for warning in table.warnings:
        note(f"warning: {path}: {warning}")
    return table


def _check_metrics(table: Table, history: Table) -> None:
    from tsdiff_monitor.errors import SchemaMismatchError

    absent = [name for name in history.names if name not in table.names]
    new = [name for name in table.names if name not in history.names]
    if absent or new:
        differ = [f"{', '.join(names)} {where}" for names, where in ((absent, "missing"), (new, "new")) if names]
        raise SchemaMismatchError(
            f"{table.path}: the metrics are not those of {history.path} ({'; '.join(differ)}); "
            "fit and score need the same columns"
        )


def _history_rows(table: Table) -> np.ndarray | None:
    """The rows to fit on; None for all."""
    import numpy as np

    rows = None if table.split is None else np.asarray(table.split == 0)
    if rows is not None and rows.any():
        return rows
    note(f"{table.path}: no rows with split 0 and no --train: fitting on the whole input")
    return None


def _fit(table: Table, frame: Frame, config: DiffusionModelConfig, advance: Advance) -> DiffusionDetector:
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.errors import DataError

    try:
        return DiffusionDetector.fit(frame, config, progress=lambda done, total: advance("fitting", done, total))
    except DataError as error:
        raise DataError(f"{table.path}: {error}") from None


def _seconds(times_ns: np.ndarray) -> np.ndarray:
    """Unix seconds: whole where all of them are."""
    if (times_ns % 1_000_000_000).any():
        return times_ns / 1e9
    return times_ns // 1_000_000_000


def _series_columns(
    detector: DiffusionDetector, frame: Frame, at: np.ndarray, scores: Scores, advance: Advance
) -> dict[str, np.ndarray]:
    """Per metric: expected value with band, given the other half of the metrics, and the share of the score."""
    from tsdiff_monitor.detectors.expected import expected_of_all

    expected = expected_of_all(detector, frame, progress=lambda done, total: advance("expected values", done, total))
    parts = {name: getattr(expected, name) for name in ("yhat", "yhat_lower", "yhat_upper")}
    parts["attribution"] = scores.attribution
    return {f"{part}.{name}": cells[at, k] for k, name in enumerate(frame.names) for part, cells in parts.items()}


def _write(columns: dict[str, np.ndarray], path: Path) -> None:
    """Null where there was nothing to score."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path, compression="zstd")
