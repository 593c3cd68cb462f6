"""The language of the SQL reader's queries."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.sql.parser import ExpressionError, parse_condition, parse_feature
from tsdiff_connectors.sql.syntax import Compare, Every, Feature, IsNull, Not, OneOf, Some

ONE = Compare("a", "=", 1)
DECLINED = Compare("status", "=", "declined")


@pytest.mark.parametrize(
    ("text", "feature"),
    [
        ("count", Feature("count")),
        ("COUNT()", Feature("count")),
        ("sum(amount)", Feature("sum", "amount")),
        ("mean( amount )", Feature("mean", "amount")),
        ("p95(amount)", Feature("quantile", "amount", 0.95)),
        ("p99.9(amount)", Feature("quantile", "amount", pytest.approx(0.999))),
        ('distinct("Customer ""No""")', Feature("distinct", 'Customer "No"')),
        ("share(status = 'declined')", Feature("share", of=DECLINED)),
        ("seconds_since_last where status = 'declined'", Feature("seconds_since_last", where=DECLINED)),
        ("count by arrival", Feature("count", by_arrival=True)),
        ("max(amount) where status = 'declined' by arrival", Feature("max", "amount", where=DECLINED, by_arrival=True)),
    ],
)
def test_features(text: str, feature: Feature) -> None:
    """Every function is read, in either case, with its condition and the time that it counts by."""
    assert parse_feature(text) == feature


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("amount > 220", Compare("amount", ">", 220)),
        ("amount<=-2.5e1", Compare("amount", "<=", -25.0)),
        ("a <> 1", Compare("a", "!=", 1)),
        ("name = 'O''Brien; --'", Compare("name", "=", "O'Brien; --")),
        ("ok = TRUE", Compare("ok", "=", True)),
        ("a in (1, 2)", OneOf("a", (1, 2))),
        ("a NOT IN ('x')", Not(OneOf("a", ("x",)))),
        ("a is null", IsNull("a")),
        ("a is not null", Not(IsNull("a"))),
        ("a = 1 or b = 2 and c is null", Some((ONE, Every((Compare("b", "=", 2), IsNull("c")))))),
        ("(a = 1 or b is null) and not c is null", Every((Some((ONE, IsNull("b"))), Not(IsNull("c"))))),
        ("not not a = 1", ONE),
    ],
)  # fmt: skip
def test_conditions(text: str, condition: object) -> None:
    """`and` binds tighter than `or`, `not` tightest; quotes are doubled inside quotes."""
    assert parse_condition(text) == condition


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at its end: begin with one of count"),
        ("total(amount)", "at 'total' (character 1): begin with one of count, sum"),
        ("shares(a = 1)", "share?"),
        ("sum", "at its end: expected `(`"),
        ("sum(amount", "expected `)`"),
        ("sum(*)", "cannot be read from '*)' on"),
        ("p100(amount)", "begin with one of"),
        ("p-5(amount)", "begin with one of"),
        ("count where", "at its end: expected a column"),
        ("count where amount", "at its end: after the column 'amount' write a comparison"),
        ("count where amount > ", "expected a number, a 'text', true or false"),
        ("count where status = declined", "write text like 'declined'"),
        ('count where status = "declined"', "write text like 'declined'"),
        ("count where a in ()", "expected a number"),
        ("count where a = 'x", "cannot be read from"),
        ("count where (a = 1", "expected `)`"),
        ("count by month", "expected `arrival`"),
        ("count where a = 1; DROP TABLE events", "cannot be read from '; DROP"),
        ("count -- everything", "cannot be read from '-- everything'"),
        ("count /* all */", "cannot be read from"),
        ("sum(amount) union select", "expected `where CONDITION`, `by arrival` or the end"),
        ("sum((select 1))", "expected a column"),
        ("sum(pg_sleep(10))", "expected `)`"),
        ("count where " + "(" * 5000 + "a = 1" + ")" * 4000, "nested more than 40 deep"),
        ("count where a = '" + "x" * 20_000 + "'", "longer than 10,000 characters"),
    ],
)
def test_what_is_no_query_is_refused_with_the_place(text: str, said: str) -> None:
    """The message says where the text stops making sense, and what could stand there; SQL is none of it."""
    with pytest.raises(ExpressionError) as caught:
        parse_feature(text)
    assert said in str(caught.value)


WORDS = st.sampled_from(
    [
        "count",
        "sum",
        "share",
        "where",
        "by",
        "arrival",
        "and",
        "or",
        "not",
        "in",
        "is",
        "null",
        "(",
        ")",
        "a",
        "=",
        "'x'",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=15).map(" ".join)))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a feature or an :class:`ExpressionError` comes of a text."""
    try:
        assert isinstance(parse_feature(text), Feature)
    except ExpressionError as error:
        assert str(error)
