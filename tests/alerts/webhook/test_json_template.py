"""Templates of webhooks: any event makes valid JSON, mistakes are found when the configuration is read."""

from __future__ import annotations

import json
import math
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tsdiff_alerts.webhook.json_template import JsonTemplate, TemplateProblem
from tsdiff_alerts.webhook.notifier import WebhookNotifier, sign
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, example_change, example_details

STRUCTURE: dict[str, Any] = {
    "alert_uid": "{{ event.id }}",
    "state": "{{ 'ok' if change == 'resolved' else 'alerting' }}",
    "title": "{{ event.severity | upper }}: {{ title }}",
    "score": "{{ event.peak_score }}",
    "ended": "{{ event.end }}",
    "tags": ["tsdiff", "{{ labels.get('instance', 'none') }}", 7, True, None],
    "names": "{{ culprits | map(attribute='metric') | list }}",
    "link": "{{ links.dashboard }}",
    "none": ["{{ links.runbook }}", "at {{ labels.zone }}"],
    "plain": "no placeholder",
    "explained": "{{ explanation }}",
}
TEXT = """
{"title": {{ title }},
 "facts": [{% for one in culprits %}
   {"name": {{ one.metric }}, "value": {{ one.line }}}{% if not loop.last %},{% endif %}
 {% endfor %}],
 "lasted": {{ event.duration_seconds | duration }}, "peak": {{ event.peak_score | number }}}
"""


def test_a_structure_is_filled_in() -> None:
    """Each string by itself; a lone placeholder keeps its type, so that numbers stay numbers and lists lists."""
    assert JsonTemplate(STRUCTURE)(example_change(details=example_details())) == {
        "alert_uid": "0123456789abcdef",
        "state": "alerting",
        "title": "CRITICAL: hosts: instance=web-1 is behaving abnormally",
        "score": 4.21,
        "ended": None,
        "tags": ["tsdiff", "web-1", 7, True, None],
        "names": ["cpu", "requests", "memory"],
        "link": example_details().links["dashboard"],
        "none": ["", "at "],
        "plain": "no placeholder",
        "explained": "",
    }
    said = JsonTemplate(STRUCTURE)(example_change(explanation=Explanation(("cpu",), 4.21, 0.61)))["explained"]
    assert said == "cpu alone explains it: with it as expected the peak score would be 0.61 instead of 4.2."


def test_a_text_is_filled_in() -> None:
    """In a text each placeholder writes a JSON value; loops make lists of any shape."""
    assert JsonTemplate(TEXT)(example_change()) == {
        "title": "hosts: instance=web-1 is behaving abnormally",
        "facts": [
            {"name": "cpu", "value": "cpu: 93.1, expected 41.2–55 (62 %)"},
            {"name": "requests", "value": "requests: 41.2k, expected 15.5k–20.1k (21 %)"},
            {"name": "memory", "value": "memory: 0.0125, expected 0.0102–0.0119 (12 %)"},
        ],
        "lasted": "7 min",
        "peak": "4.21",
    }


PARTS = '{"monitor": {{ event.monitor }}, "label": [{{ labels.instance }}], "peak": {{ event.peak_score }}}'


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(Change), st.floats())
def test_no_event_breaks_the_json(monitor: str, label: str, change: Change, peak: float) -> None:
    """For any names and numbers of an event, what is posted is JSON, with the names unchanged and never filled in."""
    event = example_change(change, monitor=monitor, group=(("instance", label),), peak=peak)
    structure = {"monitor": "{{ event.monitor }}", "label": ["{{ labels.instance }}"], "peak": "{{ event.peak_score }}"}
    for template in (structure, PARTS):
        raw = {"url": "https://hooks.example", "template": template}
        bodies: list[Any] = []

        def accept(request: httpx.Request, bodies: list[Any] = bodies) -> httpx.Response:
            bodies.append(json.loads(request.content))
            return httpx.Response(200)

        context = Context(transport=httpx.MockTransport(accept))
        WebhookNotifier(WebhookNotifier.Config.model_validate(raw), context).notify(event)
        known = peak if math.isfinite(peak) else None
        assert bodies == [{"monitor": monitor, "label": [label], "peak": known}]


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"a": {"b": ["{{ titel }}"]}}, r"template\.a\.b\[0\]: 'titel' is undefined"),
        ({"a": "{{ event.ende }}"}, r"template\.a: .*no attribute 'ende'; where not every event has it"),
        ({"a": "{{ title"}, r"template\.a: unexpected end of template"),
        ({"a": "{% for x in culprits %}{{ x.line }}"}, r"template\.a: Unexpected end of template"),
        ({"a": "{{ title | shout }}"}, r"template\.a: No filter named 'shout'"),
        ({"a": "{{ 1 / 0 }}"}, r"template\.a: ZeroDivisionError"),
        ({"a": "{{ ''.__class__.__mro__ }}"}, r"template\.a: access to attribute '__class__' .* is unsafe"),
        ({"a": "{{ event.culprits.append(1) }}"}, r"template\.a: .*not safely callable|template\.a: .*unsafe"),
        ({"a": "{{ culprits[0].metric }}"}, r"template\.a: .*no element 0"),
        ('{"a": "{{ title }}"}', r"template: the result is no JSON in its line 1: .*without quotes around"),
        ('{"a": {{ title }},}', r"template: the result is no JSON"),
        ("\n\n{{ titel }}", r"template: 'titel' is undefined"),
        ("\n\n{% if %}", r"template, line 3: Expected an expression"),
    ],
)
def test_mistakes_are_found_when_the_configuration_is_read(template: Any, said: str) -> None:
    """A template that fails for any kind of event is refused at once, with its place and what to do."""
    with pytest.raises(ValidationError, match=said):
        WebhookNotifier.Config.model_validate({"url": "https://hooks.example", "template": template})


def test_deep_structures_are_refused() -> None:
    """Nesting has a limit, so that no configuration exhausts the stack."""
    nested: Any = "x"
    for _ in range(2000):
        nested = [nested]
    with pytest.raises(TemplateProblem, match="more than 20 levels"):
        JsonTemplate(nested)


def test_what_is_posted_and_signed_is_the_template() -> None:
    """The signature is that of the filled-in body; an event that the template cannot take is a final failure."""
    requests: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200)

    context = Context(name="mine", now=FakeClock(1000.0), transport=httpx.MockTransport(accept))
    raw = {"url": "https://hooks.example", "secret": "key", "template": {"x": "{{ 1 / event.peak_score }}"}}
    target = WebhookNotifier(WebhookNotifier.Config.model_validate(raw), context)
    target.notify(example_change(peak=2.0))
    assert requests[0].content == b'{"x":0.5}'
    assert requests[0].headers["X-Tsdiff-Signature"] == sign("key", "1000", b'{"x":0.5}')
    with pytest.raises(DeliveryError, match=r"webhook 'mine': template\.x: ZeroDivisionError") as caught:
        target.notify(example_change(peak=0.0))
    assert (caught.value.reason, caught.value.recoverable) == ("template", False)
