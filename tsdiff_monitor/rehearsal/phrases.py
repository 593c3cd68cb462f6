"""A rehearsal in plain sentences, for the terminal and the page."""

from __future__ import annotations

from tsdiff_monitor.rehearsal.outcome import SELDOM, Outcome
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["facts", "kind_name", "verdict"]

_NAMES = {
    "spike": "spike of a few rows",
    "level_shift": "another level",
    "drift": "slow drift",
    "noise": "burst of noise",
    "variance": "wilder or calmer than usual",
    "period": "faster or slower than usual",
    "correlation": "usual values, wrong together",
    "dropped": "dropped to its lowest",
    "frozen": "frozen",
    "missing": "missing",
    "generated_elsewhere": "generated: plausible elsewhere",
    "generated_pushed": "generated: not quite plausible",
}
_LISTED = 20


def kind_name(kind: str) -> str:
    """The kind in words."""
    return _NAMES.get(kind, kind)


def facts(outcome: Outcome) -> list[str]:
    """The facts of the rehearsal, group by group."""
    shown = len(outcome.groups)
    groups = _counted(shown, "group")
    if shown < outcome.known_groups:
        groups = f"the first {shown} of {outcome.known_groups} groups (see --groups)"
    trials = sum(len(group.mixed) + len(group.alone) for group in outcome.groups)
    lines = [
        f"Monitor {outcome.monitor}: {trials:,} incidents in {groups}, seed {outcome.seed}, "
        f"false alarms allowed a week: {outcome.alarms_per_week:g}"
    ]
    for group in outcome.groups:
        apart = f", apart from {_counted(group.events_without, 'event')} there anyway" if group.events_without else ""
        lines.append(
            f"  {group_name(group.group)}: {group.rows:,} normal rows from {group.start:%Y-%m-%d %H:%M} to "
            f"{group.end:%Y-%m-%d %H:%M} UTC{apart}; model {group.model}"
        )
        lines.extend(f"    {note}" for note in group.notes)
    lines.extend(f"  the source warns: {note}" for note in outcome.notes)
    return lines


def verdict(outcome: Outcome) -> list[str]:
    """The conclusions."""
    kinds = {result.kind: result for result in outcome.kinds()}
    seen = [result for kind, result in kinds.items() if kind != "missing"]
    incidents, detected = sum(result.incidents for result in seen), sum(result.found for result in seen)
    lines = []
    if incidents:
        delays = [trial.delay for group in outcome.groups for trial in group.mixed if trial.delay is not None]
        waited = ""
        if delays:
            middle = sorted(delays)[(len(delays) - 1) // 2]
            waited = f", half of them within {format_duration((middle * outcome.step).to_pytimedelta())}"
        lines.append(f"{detected} of {incidents} incidents with values were found{waited}.")
    if unnoticed := outcome.unnoticed():
        lines.append(f"Unnoticed if they fail alone (under {SELDOM:.0%} found): {_some(unnoticed)}.")
    elif outcome.metrics():
        lines.append(f"Every metric tried would be noticed when it fails alone (at least {SELDOM:.0%} found).")
    if untried := outcome.untried():
        why = "nothing done to them shows (still, or without values), or an event was there anyway"
        lines.append(f"Not tried, because {why}: {_some(untried)}.")
    if "missing" in kinds:
        lines.append(
            "Values that are missing in some metrics raise no score, by design; a group without any value for longer "
            "has an event of its own (`absent_after`), which a rehearsal does not try."
        )
    return lines


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
