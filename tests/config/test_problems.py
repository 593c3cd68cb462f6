"""Pydantic's findings in users' words."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, SecretStr, ValidationError, field_validator

from tsdiff_monitor.config.problems import validation_problems
from tsdiff_monitor.settings.keys import documentation, path_text, resolve, valid_keys
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.settings.suggest import did_you_mean


class Inner(StrictModel):
    number: int = Field(default=4, ge=2, multiple_of=2)
    """An even number. Not uneven."""
    secret: SecretStr | None = None

    @field_validator("secret")
    @classmethod
    def _quotes_the_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and "bad" in value.get_secret_value():
            raise ValueError(f"{value.get_secret_value()!r} is bad; choose another than {value.get_secret_value()}")
        return value


class Outer(StrictModel):
    inner: Inner | None = None
    many: dict[str, list[Annotated[Inner, "metadata"]]] = Field(default_factory=dict)
    source: str = Field(default="", alias="from")
    share: float = Field(default=0.5, lt=1)
    kind: Literal["left", "right"] = "left"
    tag: str = Field(default="ab", pattern="^[a-z]+$", max_length=3)
    on: bool = False


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "x: must be a mapping (write keys with values below it)"),
        ({"inner": 5}, "x.inner: must be a mapping (write keys with values below it)"),
        ({"inner": {"number": "two"}}, "x.inner.number: must be a whole number"),
        ({"inner": {"number": 2.5}}, "x.inner.number: must be a whole number"),
        ({"many": {"a": [{"number": 3}]}}, "x.many.a[0].number: must be a multiple of 2"),
        ({"many": {"a": [{"numbr": 2}]}}, "x.many.a[0].numbr: unknown key (did you mean `number`? valid keys: "),
        ({"form": "a"}, "x.form: unknown key (did you mean `from`? valid keys: inner, many, from, "),
        ({"share": "half"}, "x.share: must be a number"),
        ({"share": 1.5}, "x.share: must be less than 1"),
        ({"kind": "rigth"}, "x.kind: must be 'left' or 'right' (did you mean `right`?)"),
        ({"kind": "up"}, "x.kind: must be 'left' or 'right'"),
        ({"tag": 5}, "x.tag: must be text (put it in quotes)"),
        ({"on": "maybe"}, "x.on: must be true or false"),
        ({"inner": {"secret": "my-bad-one"}}, "x.inner.secret: '<secret>' is bad (choose another than <secret>)"),
        ({"inner": {"secret": "bad\\'\"-one"}}, "x.inner.secret: '<secret>' is bad (choose another than <secret>)"),
    ],
)
def test_message(raw: Any, message: str) -> None:
    """Each finding reads as a sentence about the key, without pydantic's vocabulary and without secrets."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(raw)
    (problem,) = validation_problems(caught.value, Outer, raw, "x")
    assert str(problem).startswith(message)


def test_messages_without_a_rule_of_their_own_still_speak_of_the_key() -> None:
    """A rare finding keeps pydantic's text, bent into the same form."""
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate({"tag": "AB"})
    (problem,) = validation_problems(caught.value, Outer, {"tag": "AB"}, "x")
    assert problem.problem == "must match pattern '^[a-z]+$'"


def test_paths_and_types() -> None:
    """A path leads through optional sub-models, mappings and lists to a type, and to nothing where it is wrong."""
    assert valid_keys(resolve(Outer, ("many", "any name", 3))) == ("number", "secret")
    assert resolve(Outer, ("inner", "number")) is int
    assert resolve(Outer, ("inner", "nothing", "below")) is None
    assert documentation(Inner, "number") == "An even number"
    assert documentation(Inner, "nothing") == ""
    assert path_text("a", "b", 0, "c", 12) == "a.b[0].c[12]"


def test_suggestions() -> None:
    """Only a near word is suggested; all known ones are listed."""
    assert did_you_mean("redaers", ["readers", "writers"], "sections") == (
        "did you mean `readers`? sections: readers, writers"
    )
    assert did_you_mean("zzz", ["readers"], "sections") == "sections: readers"
    assert did_you_mean("zzz", [], "sections") == "sections: none"
