"""The voice of the code: plain modern words, and docstrings that begin with what a thing is or does.

A room joins by one line in ``_ROOMS``; the words and the openings are the house style's.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]

_ROOMS = (
    "alerts",
    "benchmarks",
    "connectors",
    "tests/alerts",
    "tests/backtest",
    "tests/benchmarks",
    "tests/checks",
    "tests/cli",
    "tests/config",
    "tests/connectors",
    "tests/daemon",
    "tests/delivery",
    "tests/detectors",
    "tests/diffusion",
    "tests/events",
    "tests/http",
    "tests/pipeline",
    "tests/plugins",
    "tests/rehearsal",
    "tests/scoring",
    "tests/store",
    "tests/system",
    "tests/timeseries",
    "tests/web",
    "tsdiff_monitor/app",
    "tsdiff_monitor/backtest",
    "tsdiff_monitor/checks",
    "tsdiff_monitor/cli",
    "tsdiff_monitor/config",
    "tsdiff_monitor/daemon",
    "tsdiff_monitor/delivery",
    "tsdiff_monitor/demo",
    "tsdiff_monitor/detectors",
    "tsdiff_monitor/diffusion",
    "tsdiff_monitor/errors.py",
    "tsdiff_monitor/events",
    "tsdiff_monitor/http",
    "tsdiff_monitor/injection",
    "tsdiff_monitor/models",
    "tsdiff_monitor/pipeline",
    "tsdiff_monitor/plotting",
    "tsdiff_monitor/plugins",
    "tsdiff_monitor/rehearsal",
    "tsdiff_monitor/scoring",
    "tsdiff_monitor/settings",
    "tsdiff_monitor/store",
    "tsdiff_monitor/system",
    "tsdiff_monitor/testing",
    "tsdiff_monitor/timeseries",
    "tsdiff_monitor/web",
)

_WORDS = (
    "cries",
    "ground",
    "grounds",
    "happened",
    "hears",
    "ill",
    "mend",
    "mended",
    "mends",
    "nobody",
    "odd",
    "stands in",
    "tell",
    "tells",
    "told",
    "untold",
    "whatever",
    "whoever",
)
_OPENINGS = ("How", "What", "When", "Where", "Whether", "Who")

_ANY_WORD = "|".join(word.replace(" ", r"\s+") for word in _WORDS)
_WORD = re.compile(rf"(?<![^\W_])({_ANY_WORD})(?![^\W_])(?!\s+truth\b)", re.IGNORECASE)
_OPENING = re.compile(rf"\s*({'|'.join(_OPENINGS)})\b")


def _faults(source: str) -> Iterator[tuple[int, str]]:
    """Line and fault of every word of the list, in names, comments or strings, and of every docstring's opening."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NAME, tokenize.COMMENT, tokenize.STRING):
            for match in _WORD.finditer(token.string):
                line = token.start[0] + token.string.count("\n", 0, match.start())
                yield line, f"the word {' '.join(match[0].split())!r}"
    for text in _docstrings(ast.parse(source)):
        if match := _OPENING.match(text.value):
            yield text.lineno, f"the docstring begins with {match[1]!r}"


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """The strings that stand alone as statements: docstrings, and those below a constant or a field."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def _files(room: str) -> list[Path]:
    path = _ROOT / room
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


@pytest.mark.parametrize("room", _ROOMS)
def test_the_room_speaks_plainly(room: str) -> None:
    """No module of the room has a word of the list, or a docstring that begins with What, How, Whether and the like."""
    files = _files(room)
    assert files, f"{room} holds no module"
    found = [
        f"{path.relative_to(_ROOT)}:{line}: {fault}"
        for path in files
        for line, fault in sorted(set(_faults(path.read_text(encoding="utf-8"))))
    ]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    "kind",
    [
        "*.md",
        "docs/*.md",
        "docs/adr/*.md",
        "configs/**/*",
        "grafana/**/*",
        "alerts/**/*.html",
        "tsdiff_monitor/**/*.html",
    ],
)
def test_pages_speak_plainly(kind: str) -> None:
    """No page, example or template has a word of the list; the change log may quote what an older version said."""
    paths = [path for path in sorted(_ROOT.glob(kind)) if path.is_file() and path.name != "CHANGELOG.md"]
    assert paths, f"{kind} matches no file"
    found = [
        f"{path.relative_to(_ROOT)}:{line}: the word {match[0]!r}"
        for path in paths
        for line, text in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in _WORD.finditer(text)
    ]
    assert not found, "\n".join(["", *found])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What it is."""\n', (1, "the docstring begins with 'What'")),
        ('x = 1\n"""How\nmuch."""\n', (2, "the docstring begins with 'How'")),
        ("x = 1\n# to_be told\n", (2, "the word 'told'")),
        ("untold_rows = 1\n", (1, "the word 'untold'")),
        ('x = f"""a\nb {1} Stands\nin"""\n', (2, "the word 'Stands in'")),
    ],
)
def test_a_fault_is_found_where_it_is(source: str, expected: tuple[int, str]) -> None:
    """Each kind of fault is found in each kind of text, with its line."""
    assert list(_faults(source)) == [expected]


def test_words_inside_of_others_are_none() -> None:
    """Background, still and embolden are words of their own, and What may begin a sentence that is not the first."""
    assert not list(_faults('"""The background is still bold. What is kept?"""\ntooth = "oddments: embolden"\n'))
