"""The error tree. Everything this package raises on purpose descends from :class:`TsdiffError`.

::

    TsdiffError
    ├── ConfigError          the configuration is wrong: file, key path, remedy
    ├── DataError            the input data cannot be used
    │   ├── SchemaMismatchError  metrics at score time differ from those at fit time
    │   └── ShortHistoryError  there are too few rows to fit on, as of yet
    ├── SourceError          a reader could not answer (never a verdict about the metrics)
    ├── DeliveryError        a notifier could not deliver; says whether a retry may help
    ├── WriteError           a writer could not store scores; says whether a retry may help
    ├── ModelError           a stored model cannot be used
    │   ├── CardVersionError  the model card has another schema version
    │   └── DamagedModelError weights or card are unreadable or do not match their checksum
    ├── StoreError           the state database cannot be used
    └── OutputError          a result cannot be written where the user asked

Messages are written for the person who has to fix the problem: what is wrong, where, and what to do.
They never contain secrets.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "CardVersionError",
    "ConfigError",
    "ConfigProblem",
    "DamagedModelError",
    "DataError",
    "DeliveryError",
    "ModelError",
    "OutputError",
    "SchemaMismatchError",
    "ShortHistoryError",
    "SourceError",
    "StoreError",
    "TsdiffError",
    "WriteError",
]


class TsdiffError(Exception):
    """Base of every error a user may see; its text is the message, without a traceback."""


@dataclass(frozen=True)
class ConfigProblem:
    """One thing wrong with a configuration.

    ``key`` is the dotted path of the key (``monitors.hosts.queries.cpu.expr``), empty for the file itself.
    """

    key: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        where = f"{self.key}: " if self.key else ""
        remedy = f" ({self.remedy})" if self.remedy else ""
        return f"{where}{self.problem}{remedy}"


class ConfigError(TsdiffError):
    """A configuration cannot be used. ``problems`` lists all of them, not only the first."""

    def __init__(self, file: str, problems: list[ConfigProblem]) -> None:
        self.file = file
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{file}: {problem}" if file else str(problem) for problem in problems))


class DataError(TsdiffError):
    """The input data cannot be used."""


class SchemaMismatchError(DataError):
    """The metrics given differ from those the model was fit on."""


class ShortHistoryError(DataError):
    """There are too few rows to fit on: what is too young today can be fit later."""

    def __init__(self, rows: int, window: int) -> None:
        super().__init__(
            f"fitting needs at least one window of {window} rows, but there are {rows}; "
            "give more history, a smaller step or a smaller window"
        )


class SourceError(TsdiffError):
    """A reader could not answer. ``reason`` is a short, stable word used as a metric label."""

    def __init__(self, message: str, *, reason: str = "unavailable", recoverable: bool = True) -> None:
        self.reason = reason
        self.recoverable = recoverable
        super().__init__(message)


class DeliveryError(TsdiffError):
    """A notifier could not deliver. ``reason`` is a short, stable word used as a metric label."""

    def __init__(self, message: str, *, recoverable: bool, reason: str, retry_after: float | None = None) -> None:
        self.recoverable = recoverable
        self.reason = reason
        self.retry_after = retry_after
        super().__init__(message)


class WriteError(TsdiffError):
    """A writer could not store scores."""

    def __init__(self, message: str, *, recoverable: bool, reason: str) -> None:
        self.recoverable = recoverable
        self.reason = reason
        super().__init__(message)


class ModelError(TsdiffError):
    """A stored model cannot be used."""


class CardVersionError(ModelError):
    """The model card was written by a version with another card schema."""


class DamagedModelError(ModelError):
    """The model's weights or card are unreadable or do not match their checksum."""


class StoreError(TsdiffError):
    """The state database cannot be used."""


class OutputError(TsdiffError):
    """A result cannot be written where the user asked."""
