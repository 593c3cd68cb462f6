"""Conditions mean in the database what they mean by the rules of SQL's three-valued logic."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connectors.sql.sql_events import DATABASES, Store, new_store, only, request, seconds

Row = dict[str, Any]
Truth = bool | None
Rule = tuple[str, Callable[[Row], Truth]]
"""A condition as text, and what it says of a row: true, false or not known."""

ROWS = [
    {"t": seconds(0), "n": n, "word": word, "flag": flag}
    for n, word, flag in product((None, -1, 0, 2.5), (None, "x", "it's"), (None, True, False))
]
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
VALUES = {"n": (-1, 0, 2.5, 1e3), "word": ("x", "it's", "y"), "flag": (True, False)}


def written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else f"{value:g}"


@st.composite
def comparisons(draw: st.DrawFn) -> Rule:
    column = draw(st.sampled_from(list(VALUES)))
    kind = draw(st.sampled_from(["compare", "in", "not in", "null", "not null"]))
    if kind == "compare":
        sign = draw(st.sampled_from(["=", "!=", "<>"] if column != "n" else list(COMPARE)))
        value = draw(st.sampled_from(VALUES[column]))
        rule = COMPARE[sign]
        return (
            f"{column} {sign} {written(value)}",
            lambda row: None if row[column] is None else rule(row[column], value),
        )
    if kind in ("in", "not in"):
        values = draw(st.lists(st.sampled_from(VALUES[column]), min_size=1, max_size=3))
        there = kind == "in"
        text = f"{column} {kind} ({', '.join(map(written, values))})"
        return text, lambda row: None if row[column] is None else (row[column] in values) == there
    wanted = kind == "null"
    return f"{column} is {kind}", lambda row: (row[column] is None) == wanted


def negated(rule: Rule) -> Rule:
    text, holds = rule

    def other(row: Row) -> Truth:
        found = holds(row)
        return None if found is None else not found

    return f"not ({text})", other


def joined(rules: tuple[Rule, Rule], decisive: bool) -> Rule:
    """With ``and`` one that is false decides, with ``or`` one that is true."""
    texts, (one, two) = [f"({text})" for text, _ in rules], (rules[0][1], rules[1][1])

    def both(row: Row) -> Truth:
        found = (one(row), two(row))
        if decisive in found:
            return decisive
        return None if None in found else not decisive

    return (" or " if decisive else " and ").join(texts), both


RULES = st.recursive(
    comparisons(),
    lambda rules: rules.map(negated) | st.builds(joined, st.tuples(rules, rules), st.booleans()),
    max_leaves=6,
)


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(request.param, request, tmp_path) as found:
        found.make({"t": sa.BigInteger, "n": sa.Double, "word": sa.Text, "flag": sa.Boolean}, ROWS)
        yield found


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RULES, min_size=1, max_size=8))
def test_conditions_choose_the_rows_that_logic_chooses(store: Store, rules: list[Rule]) -> None:
    """As a `where` and as a `share`, over every combination of values and NULL."""
    wanted = [sum(holds(row) is True for row in ROWS) for _, holds in rules]
    counts = {f"n{at}": f"count where {text}" for at, (text, _) in enumerate(rules)}
    shares = {f"s{at}": f"share({text})" for at, (text, _) in enumerate(rules)}
    found = only(store.reader().read(request(1, **counts, **shares)).frames).values[0]
    assert found[: len(rules)].tolist() == wanted
    assert found[len(rules) :] == pytest.approx([count / len(ROWS) for count in wanted])
