"""The sinks of a monitor's scores: its writers, which get every row once its tick is committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tsdiff_monitor.errors import TsdiffError, WriteError
from tsdiff_monitor.plugins import Writer
from tsdiff_monitor.system.internal_error import unexpected
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = ["DirectSinks", "Sinks"]

Errors = list[tuple[str, TsdiffError]]


class Sinks(Protocol):
    """Takes the scores of a tick."""

    def __bool__(self) -> bool:
        """True if there is any writer."""
        ...

    def write(self, batches: Iterable[ScoreBatch]) -> Errors:
        """Pass the batches on; gives what failed, by writer. Raises nothing that a writer raises."""
        ...


@dataclass(frozen=True)
class DirectSinks:
    """Writes at once, one writer after the other: for runs that wait for their writers anyway."""

    writers: Mapping[str, Writer] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.writers)

    def write(self, batches: Iterable[ScoreBatch]) -> Errors:
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
                    errors.append((f"writer {name}", unexpected(error, monitor=batch.monitor, writer=name)))
        return errors
