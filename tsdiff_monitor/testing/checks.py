"""Checks that all conformance kits share: the configuration class, and that nothing gives a secret away."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from tsdiff_monitor.settings.model import StrictModel

__all__ = ["check_config", "check_reason", "check_silent", "raised"]

E = TypeVar("E", bound=Exception)


def raised(kind: type[E], call: Callable[[], Any]) -> E:
    """The error of ``kind`` that ``call`` raises; anything else fails the test."""
    try:
        call()
    except kind as error:
        return error
    except Exception as error:
        raise AssertionError(f"raises {type(error).__name__} ({error}) where {kind.__name__} is promised") from error
    raise AssertionError(f"does not raise {kind.__name__}")


def check_config(plugin: object) -> None:
    """The class carries a strict ``Config`` that documents itself and each key."""
    config = getattr(type(plugin), "Config", None)
    assert isinstance(config, type), "the class must carry its configuration model as `Config`"
    assert issubclass(config, StrictModel), "`Config` must derive from tsdiff_monitor.settings.model.StrictModel"
    bare = [name for name, field in config.model_fields.items() if not field.description]
    assert not bare, f"every key needs a docstring, it is the users' documentation; without one: {', '.join(bare)}"


def check_reason(reason: str) -> None:
    """A reason becomes a metric label: one short word that does not vary with the data."""
    assert re.fullmatch(r"[a-z][a-z_]{0,30}", reason), f"{reason!r} is not a short word to label a metric with"


def check_silent(secrets: Iterable[str], *things: object) -> None:
    """No secret appears in the text or repr of ``things``, nor of the errors that caused those that are errors."""
    for thing in things:
        texts = [text for one in (thing, *_causes(thing)) for text in (str(one), repr(one))]
        shown = [secret for secret in secrets if any(secret in text for text in texts)]
        assert not shown, f"{type(thing).__name__} shows a secret"


def _causes(thing: object) -> Iterator[BaseException]:
    """The errors that a logged traceback shows beside the error itself."""
    while isinstance(thing, BaseException):
        thing = thing.__cause__ or (None if thing.__suppress_context__ else thing.__context__)
        if thing is not None:
            yield thing
