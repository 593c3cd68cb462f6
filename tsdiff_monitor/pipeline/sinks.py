"""The sinks of a monitor's scores: its writers, which get every row once its tick is committed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import pandas as pd

from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.internal_error import known_error
from tsdiff_monitor.timeseries.frame import Group
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["DirectSinks", "Sinks"]

Errors = list[tuple[str, TsdiffError]]


class Sinks(Protocol):
    """Takes the scores of a monitor's ticks."""

    writes_at_once: ClassVar[bool]
    """True if :meth:`written` already knows of a batch when :meth:`write` returns."""

    def __bool__(self) -> bool:
        """True if there is any writer."""
        ...

    def has_taken(self, group: Group) -> bool:
        """True if this process has handed over rows of the group: what is not written yet then waits here."""
        ...

    def written(self) -> Mapping[Group, pd.Timestamp]:
        """The newest row of each group whose scores all writers have taken or refused, in this process."""
        ...

    def retain(self, groups: Collection[Group]) -> None:
        """Forget what is known of all other groups."""
        ...

    def write(self, batches: Iterable[ScoreBatch]) -> Errors:
        """Pass the batches on; gives what failed, by writer. Raises nothing that a writer raises."""
        ...


@dataclass
class DirectSinks:
    """Writes at once, one writer after the other: for runs that wait for their writers anyway."""

    writers: Mapping[str, Writer] = field(default_factory=dict)
    _written: dict[Group, pd.Timestamp] = field(default_factory=dict)
    writes_at_once: ClassVar[bool] = True

    def __bool__(self) -> bool:
        return bool(self.writers)

    def has_taken(self, group: Group) -> bool:
        """True if rows of the group were written."""
        return group in self._written

    def written(self) -> Mapping[Group, pd.Timestamp]:
        """The newest row of each group that was written."""
        return dict(self._written)

    def retain(self, groups: Collection[Group]) -> None:
        """Forget what was written of all other groups."""
        self._written = {group: time for group, time in self._written.items() if group in groups}

    def write(self, batches: Iterable[ScoreBatch]) -> Errors:
        """Pass each batch to all writers; a failure of one stops neither the others nor its next batch."""
        errors: Errors = []
        for batch in batches:
            for name, writer in self.writers.items():
                try:
                    writer.write(batch)
                except Exception as error:  # a writer may be anybody's code
                    errors.append((f"writer {name}", known_error(error, monitor=batch.monitor, writer=name)))
            self._written[batch.group] = batch.frame.end - batch.frame.step
        return errors
