"""The short form of a query: ``cpu.usage_idle{cpu="cpu-total", host=~"web-.*"} | mean by (host)``.

A measurement, a dot, one or several fields, tags to match as in PromQL, and how the values of a window become one. Each
version of the reader writes it in the server's own language; ``docs/influxdb.md`` describes it for users.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

__all__ = ["AGGREGATES", "Matcher", "Selection", "parse_selection"]

Operator = Literal["=", "!=", "=~", "!~"]

AGGREGATES = ("mean", "sum", "min", "max", "count", "first", "last", "median", "stddev", "spread", "rate")

EXAMPLE = 'write it like cpu.usage_idle{cpu="cpu-total", host=~"web-.*"} | mean'

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<bare>[^\s.,{}()|"=!~\\]+)
      | (?P<sign>=~|!~|!=|[.,{}()|=])
    )""",
    re.VERBOSE | re.DOTALL,
)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")


@dataclass(frozen=True)
class Matcher:
    """A condition on one tag. Regular expressions are Go's and match anywhere in the value, as in Flux and InfluxQL."""

    tag: str
    operator: Operator
    value: str


@dataclass(frozen=True)
class Selection:
    """A query in the short form, parsed.

    ``aggregate`` is one of :data:`AGGREGATES` or ``percentile``, then with ``percent``. Series that agree in the tags
    ``by`` are made one, their values pooled (their rates added up); None keeps every series apart. ``any_of``: only
    series that match all matchers of one of these sets; None: all.
    """

    measurement: str
    fields: tuple[str, ...]
    matchers: tuple[Matcher, ...] = ()
    aggregate: str = "mean"
    percent: float | None = None
    by: tuple[str, ...] | None = None
    any_of: tuple[tuple[Matcher, ...], ...] | None = None


def parse_selection(text: str) -> Selection:
    """Read the short form. Raises ``ValueError`` that says what was expected where, with an example."""
    parser = _Parser(text)
    measurement = parser.name("a measurement")
    parser.sign(".", "a dot between measurement and field")
    fields = [parser.name("a field")]
    while parser.accepts(","):
        fields.append(parser.name("a field"))
    twice = sorted({name for name in fields if fields.count(name) > 1})
    if twice:
        raise ValueError(f"the field {twice[0]!r} stands twice in the query {text!r}")
    matchers = parser.matchers() if parser.accepts("{") else ()
    aggregate, percent, by = parser.aggregate() if parser.accepts("|") else ("mean", None, None)
    parser.end()
    return Selection(measurement, tuple(fields), matchers, aggregate, percent, by)


class _Parser:
    """Takes a text apart from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text.rstrip()
        self._at = 0

    def name(self, what: str) -> str:
        """A bare word, or anything in double quotes."""
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["sign"]:
            raise self._expected(what)
        self._at = match.end()
        word = match["bare"] or _unquoted(match["quoted"])
        if not word:
            raise self._expected(what)
        return word

    def accepts(self, sign: str) -> bool:
        """True where ``sign`` comes next; it is then taken."""
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["sign"] != sign:
            return False
        self._at = match.end()
        return True

    def sign(self, sign: str, what: str) -> None:
        if not self.accepts(sign):
            raise self._expected(what)

    def matchers(self) -> tuple[Matcher, ...]:
        """All up to the closing brace."""
        found: list[Matcher] = []
        while not self.accepts("}"):
            if found:
                self.sign(",", "`,` or `}` after a tag")
                if self.accepts("}"):
                    break
            tag = self.name("a tag")
            operators: tuple[Operator, ...] = ("=~", "!~", "!=", "=")
            operator: Operator | None = next((one for one in operators if self.accepts(one)), None)
            if operator is None:
                raise self._expected("one of = != =~ !~")
            match = _TOKEN.match(self._text, self._at)
            if match is None or not match["quoted"]:
                raise self._expected("a value in double quotes")
            self._at = match.end()
            found.append(Matcher(tag, operator, _unquoted(match["quoted"])))
        return tuple(found)

    def aggregate(self) -> tuple[str, float | None, tuple[str, ...] | None]:
        """The name of an aggregate, and the tags after ``by``."""
        start = self._at
        word = self.name("an aggregate")
        percent: float | None = None
        dotted = word if not self.accepts(".") else f"{word}.{self.name('digits')}"  # p99.9 holds a dot
        percentile = _PERCENTILE.fullmatch(dotted)
        if percentile is not None and float(percentile[1]) > 0:
            word, percent = "percentile", float(percentile[1])
        elif dotted not in AGGREGATES:
            self._at = start
            raise self._expected(f"one of {', '.join(AGGREGATES)} or a percentile like p95")
        match = _TOKEN.match(self._text, self._at)
        if match is None or match["bare"] != "by":
            return word, percent, None
        self._at = match.end()
        self.sign("(", "`(` after by")
        by: list[str] = []
        while not self.accepts(")"):
            if by:
                self.sign(",", "`,` or `)` after a tag")
            by.append(self.name("a tag"))
        return word, percent, tuple(dict.fromkeys(by))

    def end(self) -> None:
        if self._at < len(self._text):
            raise self._expected("the end of the query")

    def _expected(self, what: str) -> ValueError:
        rest = self._text[self._at :].strip()
        where = f"before {rest[:40]!r}" if rest else "at its end"
        return ValueError(f"the query {self._text!r} lacks {what} {where}; {EXAMPLE}")


def _unquoted(text: str) -> str:
    """The content of a quoted word: ``\\"`` and ``\\\\`` stand for themselves, other backslashes are kept (regexes)."""
    return re.sub(r'\\(["\\])', r"\1", text[1:-1])
