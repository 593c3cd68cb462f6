"""The body of a webhook as the user writes it: a JSON structure, or text, with placeholders that are filled in.

Placeholders are Jinja's (https://jinja.palletsprojects.com/en/stable/templates/), run in its sandbox. Values can never
break the JSON around them: in a structure each string is filled in by itself, and in a text every ``{{ }}`` writes a
JSON value. What can be checked without an event is checked when the configuration is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import duration_text, json_text, number_text, share_text, summary, top_culprits
from tsdiff_alerts.message.plain_text import culprit_line, plain_text, title_text
from tsdiff_monitor.events.event import Change, EventChange

__all__ = ["JsonTemplate", "Template", "TemplateProblem"]

Template = str | dict[str, Any] | list[Any]

Fill = Callable[[Mapping[str, Any]], Any]

_DEEPEST = 20
_ALONE = re.compile(r"\s*\{\{(?P<expression>(?:(?!\}\}|\{\{).)*)\}\}\s*", re.DOTALL)


class TemplateProblem(ValueError):  # noqa: N818 (becomes a DeliveryError, or a problem of the configuration)
    """A template cannot be used, or filled in for this event; its text says where and why."""


class _Lenient(dict[str, str]):
    """Labels and links differ from monitor to monitor: one that is not there is empty."""

    def __missing__(self, _: str) -> str:
        return ""


class JsonTemplate:
    """A template that was understood. Raises :class:`TemplateProblem`."""

    def __init__(self, template: Template) -> None:
        self._fill = self._text(template) if isinstance(template, str) else self._structure(template, "template")

    def __call__(self, change: EventChange) -> Any:
        """The body for a change, as JSON types."""
        return self._fill(_variables(change))

    def check(self) -> None:
        """Fill it in for events of all kinds: without a group, culprits or links, unusual names, opened, resolved."""
        from tsdiff_monitor.testing.examples import example_change, example_details

        events: tuple[dict[str, Any], ...] = (
            {"details": example_details()},
            {"group": (), "culprits": ()},
            {"group": (("path", 'a "quoted" \\ name\n{{ x }}'),)},
        )
        for change in Change:
            for event in events:
                self(example_change(change, **event))

    def _structure(self, template: Any, place: str) -> Fill:
        if place.count(".") + place.count("[") > _DEEPEST:
            raise TemplateProblem(f"{place}: nested more than {_DEEPEST} levels deep")
        if isinstance(template, dict):
            fields = {str(key): self._structure(inner, f"{place}.{key}") for key, inner in template.items()}
            return lambda values: {key: fill(values) for key, fill in fields.items()}
        if isinstance(template, list):
            items = [self._structure(inner, f"{place}[{i}]") for i, inner in enumerate(template)]
            return lambda values: [fill(values) for fill in items]
        if not isinstance(template, str):
            return lambda _: template
        alone = _ALONE.fullmatch(template)
        environment = _environment()
        if alone is not None:  # keeps its type: a number stays a number
            compiled = _guarded(place, lambda: _expression(environment, alone["expression"]))
            return lambda values: _guarded(place, lambda: _plain(compiled(values)))
        text = _guarded(place, lambda: environment.from_string(template))
        return lambda values: _guarded(place, lambda: text.render(values))

    def _text(self, template: str) -> Fill:
        compiled = _guarded("template", lambda: _environment(finalize=_json_value).from_string(template))

        def fill(values: Mapping[str, Any]) -> Any:
            rendered = _guarded("template", lambda: compiled.render(values))
            try:
                return json.loads(rendered)
            except (ValueError, RecursionError) as error:
                line, said = getattr(error, "lineno", 1), getattr(error, "msg", "it is nested too deeply")
                remedy = "write {{ }} without quotes around: it writes a JSON value, strings with their quotes"
                raise TemplateProblem(f"template: the result is no JSON in its line {line}: {said}; {remedy}") from None

        return fill


def _variables(change: EventChange) -> dict[str, Any]:
    """Names for templates; ``docs/webhook-templates.md`` lists it."""
    raw = change.to_json()
    named, left = top_culprits(change.event)
    return {
        "change": raw["change"],
        "key": raw["key"],
        "event": raw["event"],
        "labels": _Lenient(raw["event"]["group"]),
        "links": _Lenient(change.details.links),
        "title": title_text(change),
        "summary": summary(change),
        "text": plain_text(change),
        "culprits": [
            {"metric": one.metric, "line": culprit_line(one), "share": share_text(one), **culprit}
            for one, culprit in zip(named, raw["event"]["culprits"], strict=False)
        ],
        "more_culprits": left,
        "explanation": explanation_text(change.event) or "",
    }


def _environment(finalize: Callable[[Any], Any] | None = None) -> Any:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False, finalize=finalize)
    environment.filters |= {"number": number_text, "duration": duration_text}
    return environment


def _expression(environment: Any, source: str) -> Callable[[Mapping[str, Any]], Any]:
    expression = environment.compile_expression(source, undefined_to_none=False)
    return lambda values: expression(**values)


def _json_value(value: Any) -> str:
    return json_text(_plain(value))


def _plain(value: Any) -> Any:
    """``value`` if JSON knows its type; generators become lists. Raises ``TypeError``, or jinja's own for undefined."""
    from jinja2 import Undefined

    if isinstance(value, Undefined):
        str(value)  # says what is not defined
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "__iter__"):
        return [_plain(inner) for inner in value]
    raise TypeError(f"a value of type {type(value).__name__} is no JSON")


def _guarded(place: str, step: Callable[[], Any]) -> Any:
    """Result of ``step``; errors in a template name their place."""
    from jinja2 import TemplateError, UndefinedError

    try:
        return step()
    except UndefinedError as error:
        remedy = "where not every event has it, write `| default('')` behind it"
        raise TemplateProblem(f"{place}: {error.message}; {remedy}") from None
    except TemplateError as error:
        line = getattr(error, "lineno", None)
        where = f"{place}, line {line}" if line and line > 1 else place
        raise TemplateProblem(f"{where}: {error.message or type(error).__name__}") from None
    except Exception as error:  # filters and arithmetic on any value that an event may hold
        raise TemplateProblem(f"{place}: {type(error).__name__}: {error}") from None
