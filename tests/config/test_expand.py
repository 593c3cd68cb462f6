"""Environment variables in values."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tsdiff_monitor.config.expand import expand, has_reference
from tsdiff_monitor.config.loader import LoadPlugin, load_config


def test_references_are_replaced_wherever_values_stand() -> None:
    """Texts in mappings and lists are expanded, several times and within other text; keys and numbers are not."""
    raw = {"a": ["${X}", 1, None], "${X}": "http://${X}:${Y_2}/"}
    expanded, problems = expand(raw, {"X": "host", "Y_2": "80"})
    assert expanded == {"a": ["host", 1, None], "${X}": "http://host:80/"}
    assert problems == []


def test_escape_and_lonely_dollars() -> None:
    """`$${` stands for `${`; a dollar without a brace means itself, as in the end of a regular expression."""
    assert expand("$${X} $X up{job=~'a$'} $$ ${X}", {"X": "1"}) == ("${X} $X up{job=~'a$'} $$ 1", [])


def test_empty_variable_is_set() -> None:
    """A variable that is set to nothing is nothing, not an error."""
    assert expand("<${X}>", {"X": ""}) == ("<>", [])


def test_unset_variables_name_variable_and_key_path() -> None:
    """Each unset variable is reported with the place of its use."""
    _, problems = expand({"notifiers": {"oncall": {"urls": ["", "${A}${B}"]}}}, {})
    assert [problem.key for problem in problems] == ["notifiers.oncall.urls[1]"] * 2
    assert [problem.problem for problem in problems] == [
        "the environment variable A is not set",
        "the environment variable B is not set",
    ]


def test_content_is_never_expanded_again() -> None:
    """A variable whose content looks like a reference is taken literally."""
    assert expand("${X}", {"X": "${Y}", "Y": "no"}) == ("${Y}", [])


def test_content_cannot_change_the_structure(tmp_path: Path, load: LoadPlugin) -> None:
    """A variable with line ends, colons and quotes stays one value."""
    evil = 'x"\nnotifiers: {evil: {type: fake}}\n#'
    path = tmp_path / "c.yml"
    path.write_text(
        "readers: {prom: {type: fake, url: '${URL}'}}\nschedulers: {s: {infer_every: 1m}}\n"
        "monitors: {m: {reader: prom, scheduler: s, step: 1m, queries: {q: up}}}\n"
    )
    config = load_config(path, environ={"URL": evil}, load=load)
    assert config.notifiers == {}
    assert config.readers["prom"].config.model_dump() == {"url": evil}


@given(st.text() | st.text("${}X"))
def test_escaped_text_survives(text: str) -> None:
    """Any text can be written: with `${` escaped it expands to itself in any environment."""
    assert expand(text.replace("${", "$${"), {}) == (text, [])


def test_reference_and_escape_differ() -> None:
    """Only a real reference counts as taken from the environment."""
    assert has_reference("a ${X}")
    assert not has_reference("$${X} $X ${")
