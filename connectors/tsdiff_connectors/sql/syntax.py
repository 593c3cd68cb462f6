"""A query as a tree: a feature, and the conditions that choose its events. Knows nothing of SQL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "COUNTING",
    "FUNCTIONS",
    "Compare",
    "Condition",
    "Every",
    "Feature",
    "Function",
    "IsNull",
    "Not",
    "OneOf",
    "Some",
    "Value",
    "columns_of",
]

Value = str | float | int | bool

Function = Literal["count", "sum", "mean", "max", "min", "quantile", "distinct", "share", "seconds_since_last"]
FUNCTIONS = ("count", "sum", "mean", "max", "min", "p95", "distinct", "share", "seconds_since_last")
"""As users write them; `p95` stands for every quantile."""

COUNTING: frozenset[Function] = frozenset({"count", "sum", "distinct"})
"""Functions that are 0 over no events; the others have no value there."""


@dataclass(frozen=True)
class Compare:
    """``column operator value`` with ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``."""

    column: str
    operator: str
    value: Value


@dataclass(frozen=True)
class OneOf:
    """``column in (values)``."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class IsNull:
    """``column is null``."""

    column: str


@dataclass(frozen=True)
class Not:
    """``not condition``."""

    condition: Condition


@dataclass(frozen=True)
class Every:
    """Conditions joined by ``and``."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Some:
    """Conditions joined by ``or``."""

    conditions: tuple[Condition, ...]


Condition = Compare | OneOf | IsNull | Not | Every | Some


@dataclass(frozen=True)
class Feature:
    """One number per interval and group."""

    function: Function
    column: str | None = None
    quantile: float | None = None
    """Between 0 and 1, for the function ``quantile``."""
    of: Condition | None = None
    """Base of ``share``."""
    where: Condition | None = None
    """Which events count at all."""
    by_arrival: bool = False
    """True where an event counts at the time it became known, not at its own."""


def columns_of(condition: Condition | None) -> set[str]:
    """The columns that a condition names."""
    if condition is None:
        return set()
    if isinstance(condition, (Compare, OneOf, IsNull)):
        return {condition.column}
    if isinstance(condition, Not):
        return columns_of(condition.condition)
    return {column for one in condition.conditions for column in columns_of(one)}
