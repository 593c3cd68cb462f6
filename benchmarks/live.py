"""The events that the daemon would have sent: ``python -m benchmarks.live --data DIR --out FILE.json``.

The test rows of each series are scored as they would come in, with the event logic and the alarm rate of production.
The events are held against the labels: how many labelled segments have one, how many events a week lie outside of all
of them, how many rows after its start a segment is found, and what share of the normal rows lies in events (an event
that never ends finds everything). With ``--refit``, the model is fit again that often, on as many of
the newest rows as the first fit had, and three ways are compared: never; with the rows of its own events hidden, as the
daemon does it; and with everything learned. Labels are read for the measures alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from benchmarks.commands import Record, kept, series_parser
from benchmarks.data import Task, load_tasks
from benchmarks.measures import measure, segments_of
from benchmarks.methods.product import as_frame
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.settings.durations import parse_duration
from tsdiff_monitor.system.atomic_files import check_writable

__all__ = ["WAYS", "main"]

WAYS = ("never", "events hidden", "all learned")
"""Ways to fit again, by what is learned from."""
_NEAR = 10
"""Rows around a labelled segment in which an event is neither false nor late: labels are drawn by hand."""
_WEEK = 604_800.0

Span = tuple[int, int, int]
"""An event: its first row, the row after its last, and the row in which it was opened."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; returns the exit status: 0, or 2 for input that is wrong."""
    given = _parser().parse_args(arguments)
    try:
        check_writable(given.out)
        every = _every(given.refit)
        records = kept(_records(list(load_tasks(given.data, series=given.series)), every, given), given.out)
    except TsdiffError as error:
        print(f"benchmarks.live: {error}", file=sys.stderr)
        return 2
    print(f"\n{given.alarms:g} false events a week and series allowed, {given.data.name}\n\n{_table(records)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = series_parser("live", __doc__)
    parser.add_argument("--refit", metavar="SPAN", help="fit again so often, like 7d, and compare the three ways")
    parser.add_argument("--alarms", type=float, default=1.0, metavar="N", help="allowed a week (%(default)s)")
    parser.add_argument("--fit-steps", type=int, metavar="N", help="of the detector (its default)")
    parser.add_argument("--seed", type=int, default=0, help="of the detector (%(default)s)")
    return parser


def _every(text: str | None) -> float | None:
    """Seconds between fits."""
    if text is None:
        return None
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise DataError(f"--refit: {error}") from None
    if seconds <= 0:
        raise DataError("--refit: must be longer than 0s")
    return seconds


def _records(tasks: list[Task], every: float | None, given: argparse.Namespace) -> Iterator[Record]:
    chosen = {} if given.fit_steps is None else {"fit_steps": given.fit_steps}
    config = DiffusionModelConfig(seed=given.seed, **chosen)
    for task in tasks:
        for way in WAYS if every is not None else WAYS[:1]:
            rows = len(task.test) if every is None or way == WAYS[0] else max(int(every / task.step_seconds), 1)
            began = time.perf_counter()
            score, spans, fits = _replayed(task, config, rows, hide=way == WAYS[1], alarms=given.alarms)
            yield {
                "series": task.series, "way": way, "fits": fits, **_detections(task, spans),
                "vus_pr": measure(task.labels, score, task.test[:, 0].astype(np.float64), task.step_seconds)["vus_pr"],
                "seconds": round(time.perf_counter() - began, 1),
            }  # fmt: skip


def _replayed(
    task: Task, config: DiffusionModelConfig, rows: int, *, hide: bool, alarms: float
) -> tuple[np.ndarray, list[Span], int]:
    """Scores ``[T]``, events, and the number of fits, ``rows`` apart."""
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.events.policy import EventPolicy
    from tsdiff_monitor.events.state import TrackerState
    from tsdiff_monitor.events.tracker import EventTracker

    values = np.concatenate([task.train, task.test]).astype(np.float32)
    learned, past, total = values.copy(), len(task.train), len(task.test)
    tracker = EventTracker(EventPolicy(), task.series, (), TrackerState())
    frame = as_frame(values, task.step_seconds)
    score = np.full(total, np.nan)
    spans: dict[str, Span] = {}
    fits = 0
    for first in range(0, total, rows):
        last = min(first + rows, total)
        history = learned[first : past + first] if rows < total else learned[:past]
        detector = DiffusionDetector.fit(as_frame(history, task.step_seconds), config)
        fits += 1
        context = max(past + first - detector.window, 0)
        part = frame.rows(context, past + last)
        scores = detector.score(part, first=past + first - context, alarms_per_week=alarms)
        score[first:last] = scores.score
        for change in tracker.advance(scores, lambda _time, _names: {}):
            event = change.event
            end = frame.row(event.last) + 1 if event.end is None else frame.row(event.end)
            spans[event.id] = (frame.row(event.start) - past, end - past, frame.row(event.confirmed) - past)
        if hide:
            for begin, end, _ in spans.values():
                learned[past + begin : past + end] = np.nan
    return score, list(spans.values()), fits


def _detections(task: Task, spans: list[Span]) -> Record:
    """Events against labels."""
    segments = segments_of(task.labels == 1)
    delays = []
    for a, b in segments:
        after = [max(confirmed - a, 0) for begin, end, confirmed in spans if begin < b and end > a - _NEAR]
        if after:
            delays.append(min(after))
    near = [(a - _NEAR, b + _NEAR) for a, b in segments]
    false = sum(not any(begin < b and end > a for a, b in near) for begin, end, _ in spans)
    covered = np.zeros(len(task.labels), dtype=bool)
    for begin, end, _ in spans:
        covered[begin:end] = True
    weeks = float((task.labels != 1).sum()) * task.step_seconds / _WEEK
    return {
        "segments": len(segments), "found": len(delays), "delays_rows": delays, "events": len(spans), "false": false,
        "false_per_week": round(false / weeks, 2) if weeks else None,
        "normal_rows_in_events": round(float(covered[task.labels != 1].mean()), 4),
    }  # fmt: skip


def _table(records: Sequence[Record]) -> str:
    """By way: segments found, false events a week (mean and median over series), delay, coverage, VUS-PR."""
    rows = {}
    for way, part in pd.DataFrame(list(records)).groupby("way", sort=False):
        rate = part["false_per_week"].astype(float)
        delays = np.concatenate([np.array(found, dtype=float) for found in part["delays_rows"]])
        rows[way] = {
            "series": len(part),
            "found": f"{part['found'].sum()} of {part['segments'].sum()}",
            "false a week": f"{rate.mean():.1f} (median {rate.median():.1f})",
            "delay (rows)": f"{np.median(delays):.0f}" if len(delays) else "-",
            "normal rows in events": f"{part['normal_rows_in_events'].mean():.1%}",
            "VUS-PR": f"{part['vus_pr'].dropna().astype(float).mean():.3f}",
            "fits": int(part["fits"].sum()),
        }
    return str(pd.DataFrame(rows).T.to_string())


if __name__ == "__main__":
    sys.exit(main())
