"""Checks across sections: names that lead nowhere, and times that do not fit together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.config.settings import Settings
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.errors import ConfigProblem
from tsdiff_monitor.plugins import TakesQueryOptions
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.settings.keys import path_text
from tsdiff_monitor.settings.suggest import did_you_mean
from tsdiff_monitor.system.extras import missing_package

__all__ = [
    "DEFAULT_MODEL",
    "package_problems",
    "query_problems",
    "reference_problems",
    "retention_problems",
    "route_problems",
    "timing_problems",
]

DEFAULT_MODEL = "default"
"""The model that exists even if the ``models`` section lacks it."""

QUERY_OPTIONS = ("step", "offset", "tz", "max_points_per_query")
"""Keys of a query that its reader handles."""

_FEWEST_WINDOWS = 4  # fewer leave next to nothing to hold out for calibration

_REFERENCES = {
    "reader": "readers",
    "model": "models",
    "scheduler": "schedulers",
    "notify": "notifiers",
    "write": "writers",
}


def reference_problems(sections: Mapping[str, Mapping[str, Any]]) -> Iterator[ConfigProblem]:
    """Names in monitors without an entry. Works on raw data, so that entries with other mistakes still count."""
    for monitor, raw in sections["monitors"].items():
        for key, section in _REFERENCES.items():
            value = raw.get(key) if isinstance(raw, dict) else None
            named = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for position, name in named:
                known = sections[section]
                if not isinstance(name, str) or name in known or (key == "model" and name == DEFAULT_MODEL):
                    continue
                where = path_text("monitors", monitor, key, *(() if position is None else (position,)))
                remedy = did_you_mean(name, known, section) if known else f"add it to the section `{section}`"
                yield ConfigProblem(where, f"there is no {section[:-1]} named {name!r}", remedy)


def route_problems(settings: Mapping[str, Any], notifiers: Mapping[str, Any]) -> Iterator[ConfigProblem]:
    """Names in ``settings.routes`` without a notifier. Works on raw data, like :func:`reference_problems`."""
    routes = settings.get("routes")
    for number, route in enumerate(routes if isinstance(routes, list) else []):
        named = route.get("notifiers") if isinstance(route, dict) else None
        for position, name in enumerate(named if isinstance(named, list) else []):
            if isinstance(name, str) and name not in notifiers:
                where = path_text("settings", "routes", number, "notifiers", position)
                remedy = (
                    did_you_mean(name, notifiers, "notifiers") if notifiers else "add it to the section `notifiers`"
                )
                yield ConfigProblem(where, f"there is no notifier named {name!r}", remedy)


def timing_problems(
    monitors: Mapping[str, MonitorConfig],
    schedulers: Mapping[str, SchedulerConfig],
    models: Mapping[str, ModelConfig],
) -> Iterator[ConfigProblem]:
    """Intervals shorter than the step, and fit windows too short for the model's window."""
    for name, monitor in monitors.items():
        step = format_duration(monitor.step)
        scheduler = schedulers.get(monitor.scheduler)
        if scheduler is not None and scheduler.infer_every < monitor.step:
            every = format_duration(scheduler.infer_every)
            problem = (
                f"interval shorter than step: the monitor's step is {step}, `infer_every` of its scheduler {every}"
            )
            remedy = f"raise schedulers.{monitor.scheduler}.infer_every to {step} or lower step to {every}"
            yield ConfigProblem(path_text("monitors", name, "step"), problem, remedy)
        model = models.get(monitor.model)
        if model is None:
            continue
        least = model.window * monitor.step * _FEWEST_WINDOWS
        if model.fit_window < least:
            problem = (
                f"{format_duration(model.fit_window)} is too short for monitor {name!r}: {_FEWEST_WINDOWS} windows of "
                f"{model.window} rows with step {step} are {format_duration(least)}"
            )
            remedy = f"raise it to {format_duration(least)} or more, or lower `window`"
            yield ConfigProblem(path_text("models", monitor.model, "fit_window"), problem, remedy)


def package_problems(models: Mapping[str, ModelConfig]) -> Iterator[ConfigProblem]:
    """Libraries that a model computes with and that are not installed."""
    for name, model in models.items():
        if isinstance(model, DiffusionModelConfig) and model.runtime == "onnx":
            key, missing = "runtime", missing_package("`runtime: onnx`", "onnxruntime")
        elif isinstance(model, BaselineModelConfig) and model.method == "forecaster":
            key, missing = "method", missing_package("`method: forecaster`", "sktime")
        else:
            continue
        if missing:
            yield ConfigProblem(path_text("models", name, key), missing)


def retention_problems(settings: Settings, models: Mapping[str, ModelConfig]) -> Iterator[ConfigProblem]:
    """Fit windows that reach back beyond the events that are kept: deleted incidents would be learned as normal."""
    for name, model in models.items():
        if model.fit_window > settings.keep_events:
            limit = format_duration(settings.keep_events)
            problem = f"reaches back further than events are kept, {limit}: deleted incidents would be learned"
            remedy = f"raise settings.keep_events to {format_duration(model.fit_window)} or more, or shorten it"
            yield ConfigProblem(path_text("models", name, "fit_window"), problem, remedy)


def query_problems(
    monitors: Mapping[str, MonitorConfig], readers: Mapping[str, tuple[str, type[Any]]]
) -> Iterator[ConfigProblem]:
    """Options of queries that the reader does not know, or that do not fit the step; ``readers``: type and class."""
    for name, monitor in monitors.items():
        for query_name, query in monitor.queries.items():
            where = ("monitors", name, "queries", query_name)
            if monitor.reader in readers:
                kind, plugin = readers[monitor.reader]
                named = plugin.query_options if isinstance(plugin, TakesQueryOptions) else ()
                taken: frozenset[str] = frozenset(named)
                for option in QUERY_OPTIONS:
                    if option in query.model_fields_set and option not in taken:
                        remedy = f"leave it out; it takes {', '.join(sorted(taken)) or 'no options'}"
                        yield ConfigProblem(
                            path_text(*where, option), f"readers of type {kind!r} do not know it", remedy
                        )
            if query.step is not None and (query.step < monitor.step or query.step % monitor.step):
                problem = f"must be a multiple of the monitor's step, {format_duration(monitor.step)}"
                yield ConfigProblem(
                    path_text(*where, "step"), problem, "a query can be coarser than its monitor, not finer"
                )
            if query.tz is not None and (query.step or monitor.step) % timedelta(days=1):
                problem = "has no effect on steps that are not whole days"
                yield ConfigProblem(path_text(*where, "tz"), problem, "give the query `step: 1d`, or leave `tz` out")
