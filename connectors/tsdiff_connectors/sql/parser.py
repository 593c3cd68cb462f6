"""Reads the language of queries: ``sum(amount) where status = 'declined' and amount > 220``.

::

    feature    = function [ "where" condition ] [ "by" "arrival" ]
    function   = "count" | "seconds_since_last" | "share" "(" condition ")"
               | ( "sum" | "mean" | "max" | "min" | "distinct" | "p" number ) "(" column ")"
    condition  = every { "or" every }
    every      = one { "and" one }
    one        = "not" one | "(" condition ")" | column test
    test       = ( "=" | "!=" | "<>" | "<" | "<=" | ">" | ">=" ) value
               | [ "not" ] "in" "(" value { "," value } ")" | "is" [ "not" ] "null"
    value      = number | 'text' | "true" | "false"
    column     = name | "quoted name"

Words are read in either case, columns as they are written. The text never becomes SQL: the tree does, piece by piece.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, cast

from tsdiff_connectors.sql.syntax import (
    FUNCTIONS,
    Compare,
    Condition,
    Every,
    Feature,
    Function,
    IsNull,
    Not,
    OneOf,
    Some,
    Value,
)

__all__ = ["ExpressionError", "parse_condition", "parse_feature"]

_MAX_LENGTH, _MAX_NESTING = 10_000, 40
"""A longer or deeper text is no query that a person wrote, and could exhaust the stack."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<name>[A-Za-z_]\w*(?:\.\d+)?)
      | "(?P<quoted>(?:[^"]|"")+)"
      | '(?P<text>(?:[^']|'')*)'
      | (?P<sign><=|>=|<>|!=|[=<>(),]))""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_QUANTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)", re.IGNORECASE)

_Kind = Literal["number", "name", "quoted", "text", "sign", "end"]


class ExpressionError(ValueError):
    """A text that is no query; the message says where and what would be one."""


@dataclass(frozen=True)
class _Token:
    kind: _Kind
    text: str
    at: int

    @property
    def word(self) -> str:
        """The lower-case keyword that this may be, or the sign."""
        return self.text.lower() if self.kind in ("name", "sign") else ""


def parse_feature(text: str) -> Feature:
    """The feature that an ``expr`` asks for. Raises :class:`ExpressionError`."""
    parser = _Parser(text)
    feature = parser.feature()
    parser.finish("`where CONDITION`, `by arrival` or the end")
    return feature


def parse_condition(text: str) -> Condition:
    """The condition that a ``where`` holds. Raises :class:`ExpressionError`."""
    parser = _Parser(text)
    condition = parser.condition()
    parser.finish("`and`, `or` or the end")
    return condition


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > _MAX_LENGTH:
            raise ExpressionError(f"is longer than {_MAX_LENGTH:,} characters; shorten it, or use a view")
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def feature(self) -> Feature:
        head = self._take()
        name = head.word
        quantile = _QUANTILE.fullmatch(head.text) if head.kind == "name" else None
        column, of = None, None
        if quantile is None and name not in FUNCTIONS:
            near = difflib.get_close_matches(name, FUNCTIONS, 1)
            raise _error(head, f"begin with one of {', '.join(FUNCTIONS)}" + (f"; {near[0]}?" if near else ""))
        if name in ("count", "seconds_since_last"):
            if self._accept("("):
                self._expect(")")
        else:
            self._expect("(")
            of, column = (self.condition(), None) if name == "share" else (None, self._column())
            self._expect(")")
        where = self.condition() if self._accept("where") else None
        arrival = self._accept("by")
        if arrival:
            self._expect("arrival")
        function = cast(Function, "quantile" if quantile else name)
        return Feature(function, column, float(quantile[1]) / 100 if quantile else None, of, where, arrival)

    def condition(self) -> Condition:
        self._depth += 1
        if self._depth > _MAX_NESTING:
            raise ExpressionError(f"is nested more than {_MAX_NESTING} deep; simplify it, or use a view")
        parts = [self._every()]
        while self._accept("or"):
            parts.append(self._every())
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def finish(self, expected: str) -> None:
        if self._peek().kind != "end":
            raise _error(self._peek(), f"expected {expected}")

    def _every(self) -> Condition:
        parts = [self._one()]
        while self._accept("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _one(self) -> Condition:
        negations = 0
        while self._accept("not"):
            negations += 1
        if self._accept("("):
            found = self.condition()
            self._expect(")")
        else:
            found = self._test()
        return Not(found) if negations % 2 else found

    def _test(self) -> Condition:
        column, sign = self._column(), self._take()
        if sign.word in _COMPARISONS:
            return Compare(column, _COMPARISONS[sign.word], self._value())
        if sign.word == "is":
            negated = self._accept("not")
            self._expect("null")
            return Not(IsNull(column)) if negated else IsNull(column)
        negated = sign.word == "not"
        if negated:
            self._expect("in")
        elif sign.word != "in":
            raise _error(
                sign, f"after the column {column!r} write a comparison, like `{column} > 5`, `in` or `is null`"
            )
        self._expect("(")
        values = [self._value()]
        while self._accept(","):
            values.append(self._value())
        self._expect(")")
        return Not(OneOf(column, tuple(values))) if negated else OneOf(column, tuple(values))

    def _column(self) -> str:
        token = self._take()
        if token.kind == "name" and "." not in token.text:
            return token.text
        if token.kind == "quoted":
            return token.text.replace('""', '"')
        raise _error(token, "expected a column")

    def _value(self) -> Value:
        token = self._take()
        if token.kind == "text":
            return token.text.replace("''", "'")
        if token.kind == "number":
            return int(token.text) if re.fullmatch(r"[+-]?\d{1,18}", token.text) else float(token.text)
        if token.word in ("true", "false"):
            return token.word == "true"
        hint = f"; write text like '{token.text}'" if token.kind in ("name", "quoted") else ""
        raise _error(token, f"expected a number, a 'text', true or false{hint}")

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._peek()
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _accept(self, word: str) -> bool:
        found = self._peek().word == word
        if found:
            self._take()
        return found

    def _expect(self, word: str) -> None:
        token = self._take()
        if token.word != word:
            raise _error(token, f"expected `{word}`")


def _tokens(text: str) -> list[_Token]:
    found, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            rest = text[at:].strip()
            raise ExpressionError(f"cannot be read from {rest[:30]!r} on; see the SQL reader's documentation")
        kind = cast(_Kind, match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    return [*found, _Token("end", "", len(text))]


def _error(token: _Token, what: str) -> ExpressionError:
    where = "at its end" if token.kind == "end" else f"at {token.text!r} (character {token.at + 1})"
    return ExpressionError(f"{where}: {what}")
