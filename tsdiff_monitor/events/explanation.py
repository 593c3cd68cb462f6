"""The fewest metrics that explain an event, and the sentence that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

__all__ = ["Explanation", "explanation_sentence"]


@dataclass(frozen=True)
class Explanation:
    """The smallest set of culprits without which there would be no alarm.

    ``metrics``: the set, largest share of the score first; ``before``: the score of the event's peak; ``after``: what
    it would be had these metrics been as expected since the event's start, 1 at most.
    """

    metrics: tuple[str, ...]
    before: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {"metrics": list(self.metrics), "score_before": self.before, "score_after": self.after}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Self:
        """The inverse of :meth:`to_json`."""
        return cls(tuple(raw["metrics"]), raw["score_before"], raw["score_after"])


def explanation_sentence(
    explanation: Explanation, *, over: bool, name: Callable[[str], str], number: Callable[[float], str]
) -> str:
    """``memory and gc together explain it: with both as expected the peak score would be 0.6 instead of 4.2.``

    ``over``: of an event that has ended; ``name`` and ``number`` write a metric and a score as they are to be shown.
    """
    names = [name(metric) for metric in explanation.metrics]
    said = "explained it" if over else f"explain{'s' if len(names) == 1 else ''} it"
    would = "would have been" if over else "would be"
    together = "alone" if len(names) == 1 else "together"
    return (
        f"{_listed(names)} {together} {said}: with {_all(len(names))} as expected the peak score {would} "
        f"{number(explanation.after)} instead of {number(explanation.before)}."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _all(count: int) -> str:
    return {1: "it", 2: "both", 3: "all three"}.get(count, f"all {count}")
