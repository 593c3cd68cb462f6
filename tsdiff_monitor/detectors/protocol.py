"""The contract of a fitted detector of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["Detector", "Mode"]

Mode = Literal["stream", "batch"]
"""``stream``: each row from the rows before it, as live data comes; ``batch``: with context from both sides."""


class Detector(Protocol):
    """A fitted model of one group. Immutable: the same rows always give the same scores."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of the fit, in its order."""
        ...

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        ...

    @property
    def step_seconds(self) -> float:
        """Seconds between rows."""
        ...

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Score the rows from ``first`` on; earlier rows are context. ``rules`` are by series name.

        Raises :class:`~tsdiff_monitor.errors.SchemaMismatchError` when metrics or step are not those of the fit.
        """
        ...

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        """Expected values of the ``names`` in rows ``first <= t < last``; ``read`` rows are predicted at once."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model; a crash in between leaves the previous one in place."""
        ...
