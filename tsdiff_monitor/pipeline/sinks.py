"""The sinks of a monitor's scores: its writers, which get every row once its tick is committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd

from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.internal_error import internal_error
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["DirectSinks", "Sinks"]

Errors = list[tuple[str, TsdiffError]]


class Sinks(Protocol):
    """Takes the scores of a tick."""

    def __bool__(self) -> bool:
        """True if there is any writer."""
        ...

    @property
    def is_new(self) -> bool:
        """True before the first tick of a process: what the last one scored may not have been written."""
        ...

    @property
    def written(self) -> pd.Timestamp | None:
        """The end of the newest tick all of whose scores are with the writers; None while nothing is known."""
        ...

    def write(self, batches: Iterable[ScoreBatch], until: pd.Timestamp) -> Errors:
        """Pass on the batches of the tick that ends at ``until``; gives what failed, by writer.

        Raises nothing that a writer raises.
        """
        ...


@dataclass
class DirectSinks:
    """Writes at once, one writer after the other: for runs that wait for their writers anyway."""

    writers: Mapping[str, Writer] = field(default_factory=dict)
    is_new: bool = True
    written: pd.Timestamp | None = None

    def __bool__(self) -> bool:
        return bool(self.writers)

    def write(self, batches: Iterable[ScoreBatch], until: pd.Timestamp) -> Errors:
        """Pass the batches to each writer; a failure of one stops neither the others nor its next batch."""
        kept: Sequence[ScoreBatch] = list(batches)
        errors: Errors = []
        for name, writer in self.writers.items():
            for batch in kept:
                try:
                    writer.write(batch)
                except WriteError as error:
                    errors.append((f"writer {name}", error))
                except Exception as error:  # a writer may be anybody's code
                    errors.append((f"writer {name}", internal_error(error, monitor=batch.monitor, writer=name)))
        self.written = until
        return errors
