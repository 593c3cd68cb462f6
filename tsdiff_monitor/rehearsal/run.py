"""A rehearsal from end to end, group by group."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.fitted import FittedDetector
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import DataError, TsdiffError
from tsdiff_monitor.injection import KINDS, AnomalyType, generated_kinds
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.alarm_rate import share_of
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.rehearsal.baseline_rows import HistorySlice, fitted, survey
from tsdiff_monitor.rehearsal.examples import Example, Examples
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.rehearsal.incidents import kind_rounds, metric_rounds, rows_for_one
from tsdiff_monitor.rehearsal.outcome import GroupOutcome, Outcome, Trial
from tsdiff_monitor.rehearsal.trial import Sandbox, judged, quiet_rows, tail_rows
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import group_name
from tsdiff_monitor.timeseries.selection import align_metrics

__all__ = ["Options", "rehearse"]

Progress = Callable[[str, float, float], None]

_LEAST_INCIDENTS = 4
"""Minimum number of anomalies that must fit at once."""


@dataclass(frozen=True)
class Options:
    """``per_kind`` incidents of each kind, and in each metric alone, per group; the first ``groups`` groups; rows
    before ``end`` (None: where the data ends); at most ``examples`` incidents kept to be sent."""

    per_kind: int = 8
    seed: int = 0
    groups: int = 5
    end: pd.Timestamp | None = None
    examples: int = 0


def rehearse(
    pipeline: Pipeline,
    stored: ModelStore,
    options: Options,
    *,
    work: Path,
    now: pd.Timestamp,
    progress: Progress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Outcome, tuple[Example, ...], list[tuple[str, TsdiffError]]]:
    """The outcome, incidents found that may be sent, and what failed, by group.

    ``stored`` are the daemon's models, which are only read. ``pipeline`` is the monitor's, with a store that holds the
    known events, which is only read too, and a model store for what has to be fit. ``work`` is a folder for temporary
    files; nothing is sent. The same data, models and seed give the same outcome. Raises ``SourceError`` and
    ``DataError`` when there is nothing at all.
    """
    surveyed = survey(pipeline, options.groups, options.end, now)
    models, errors = fitted(pipeline, stored, surveyed.histories, progress=progress, clock=clock)
    allowance = share_of(pipeline.monitor.alarms_per_week, surveyed.known_groups)
    examples, outcomes = Examples(options.examples), []
    with TemporaryDirectory(dir=work) as folder, Store(Path(folder) / "trials.sqlite") as trials:
        for history in surveyed.histories:
            if history.group not in models:
                continue
            name = group_name(history.group)
            detector, origin = models[history.group]
            try:
                sandbox, notes = _sandbox(pipeline, trials, history, detector, allowance)
                outcomes.append(_group(sandbox, origin, notes, options, examples, progress))
            except Exception as error:  # a bug in one group must not stop the others
                errors.append((name, known_error(error, monitor=pipeline.name, group=name)))
    outcome = Outcome(
        monitor=pipeline.name,
        step=pipeline.step,
        seed=options.seed,
        per_kind=options.per_kind,
        alarms_per_week=pipeline.monitor.alarms_per_week,
        known_groups=surveyed.known_groups,
        groups=tuple(outcomes),
        notes=tuple(dict.fromkeys(surveyed.warnings)),
    )
    return outcome, examples.chosen(), errors


def _sandbox(
    pipeline: Pipeline, trials: Store, history: HistorySlice, detector: Detector, allowance: float
) -> tuple[Sandbox, tuple[str, ...]]:
    """A sandbox with the metrics of the model, and context before the first row."""
    frame, notes = align_metrics(history.frame, detector.names)
    history = dataclasses.replace(history, frame=frame, first=max(history.first, detector.window))
    return Sandbox(pipeline, trials, history, Following.over(detector, history), allowance), tuple(notes)


def _group(
    sandbox: Sandbox, origin: str, notes: tuple[str, ...], options: Options, examples: Examples, progress: Progress
) -> GroupOutcome:
    gap = sandbox.detector.window + tail_rows(sandbox)  # so that none is in the context of another
    before = _normal_rows(sandbox.history)
    least = _LEAST_INCIDENTS * rows_for_one(gap)
    if before < least:
        raise DataError(
            f"{before} normal rows to put incidents into, but at least {least} are needed; "
            "wait until there are more, or choose another --end"
        )
    untouched = sandbox.scenario(_values(sandbox.history), 0, len(sandbox.history.frame))
    history, events = quiet_rows(
        sandbox.history, sandbox.play(untouched, f"{sandbox.pipeline.name}/untouched"), tail_rows(sandbox)
    )
    rows = _normal_rows(history)
    if rows < least:
        raise DataError(
            f"{events} events in the rows as they are leave {rows} of {before} rows to put incidents into, but at "
            f"least {least} are needed; fix what raises these events first (`tsdiff-monitor backtest` shows them)"
        )
    sandbox = dataclasses.replace(sandbox, history=history)
    values, names = _values(history), history.frame.names
    name = group_name(history.group)
    generator = np.random.default_rng([options.seed, crc32(name.encode())])
    kinds = _kinds(sandbox.detector.inner)
    metrics = np.flatnonzero(history.frame.observed[history.first :].any(0)).tolist()
    total = options.per_kind * (len(kinds) + len(metrics))
    mixed, alone = list[Trial](), list[Trial]()
    done = 0
    for rounds, trials in (
        (kind_rounds(values, kinds, options.per_kind, gap, generator), mixed),
        (metric_rounds(values, metrics, options.per_kind, gap, generator), alone),
    ):
        for number, injected in enumerate(rounds):
            name_of_round = f"{sandbox.pipeline.name}/{'mixed' if trials is mixed else 'alone'}/{number}"
            for incident, trial in judged(sandbox, injected, name_of_round):
                trials.append(trial)
                if trial.found and trials is mixed:
                    examples.offer(sandbox, injected, incident)
            done += len(injected.incidents)
            progress(f"rehearsing {name}", done, total)
    if done < total:  # incidents that could not be made visible
        progress(f"rehearsing {name}", total, total)
    tried = {trial.metrics[0] for trial in alone}
    return GroupOutcome(
        group=history.group,
        start=history.start,
        end=history.frame.end,
        rows=rows,
        model=origin,
        events_without=events,
        mixed=tuple(mixed),
        alone=tuple(alone),
        still=tuple(name for name in names if name not in tried),
        notes=notes,
    )


def _values(history: HistorySlice) -> np.ndarray:
    return np.asarray(history.frame.values[history.first :])


def _normal_rows(history: HistorySlice) -> int:
    return int(history.frame.observed[history.first :].any(1).sum())


def _kinds(detector: Detector) -> Mapping[str, AnomalyType]:
    """Every kind, and those that the model can generate."""
    config = detector.card.config if isinstance(detector, FittedDetector) else None
    if not isinstance(config, DiffusionModelConfig):
        return KINDS
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.injection.model import conditional_sampler

    assert isinstance(detector, DiffusionDetector)
    sampler = conditional_sampler(detector.imputer, detector.scaler)
    return {**KINDS, **generated_kinds(sampler, config.window)}
