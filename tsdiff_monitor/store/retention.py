"""Ages at which events and groups are old enough to be deleted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import pandas as pd

from tsdiff_monitor.store.store import Store
from tsdiff_monitor.timeseries.frame import Group

__all__ = ["Forgotten", "Keep", "Models", "forget_old"]


class Models(Protocol):
    """The place of the groups' models; :class:`~tsdiff_monitor.models.repository.ModelStore` is one."""

    def delete(self, monitor: str, group: Group) -> None:
        """Remove a group's models."""
        ...

    def sweep(
        self,
        known: Mapping[str, Collection[Group]],
        before: Mapping[str, pd.Timestamp],
        others_before: pd.Timestamp | None = None,
    ) -> int:
        """Remove old models of groups that are not known; returns the number of folders."""
        ...


@dataclass(frozen=True)
class Keep:
    """The times for which events that are over, and groups of which nothing is read any more, are kept."""

    events: timedelta
    groups: timedelta


@dataclass(frozen=True)
class Forgotten:
    """The numbers of events, of groups, and of folders of models that belonged to no group."""

    events: int = 0
    groups: int = 0
    folders: int = 0


def forget_old(
    store: Store, models: Models, monitors: Mapping[str, timedelta], now: pd.Timestamp, keep: Keep
) -> Forgotten:
    """Forget events and groups that are too old, the groups with their models. Raises ``StoreError``.

    ``monitors``: the configured ones, each with its ``forget_after``; a group is kept for that long at least. Ages are
    counted from the newest rows, for a clock that was put forward must not make everything old: of events from the
    newest row in any of the monitors, of groups from their own monitor's, so that one whose source is away loses
    nothing. Groups of other monitors are old by the newest row of the configured ones. Without a row nothing is
    forgotten.
    """
    newest = store.newest_rows()
    scored = [newest[name] for name in monitors if name in newest]
    if not scored:
        return Forgotten()
    latest = min(max(scored), now)
    others = latest - keep.groups
    before = dict.fromkeys(newest, others) | {
        name: min(newest[name], now) - max(keep.groups, forget_after)
        for name, forget_after in monitors.items()
        if name in newest
    }
    events, groups = store.prune(latest - keep.events), 0
    for monitor, time in before.items():
        for group in store.forget_groups(monitor, time):
            models.delete(monitor, group)  # after the row: what a crash leaves in between is swept later
            groups += 1
    known = {monitor: store.groups(monitor) for monitor in newest.keys() | monitors.keys()}
    return Forgotten(events, groups, models.sweep(known, before, others))
