"""The message itself: golden payloads, Block Kit's limits, and nothing in a label that Slack would act on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.alerts.slack.slack_server import check
from tsdiff_alerts.slack.message import make_message, news
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import Change, Culprit, Severity
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.testing import example_change, example_details

CULPRITS = {
    "type": "section",
    "text": {
        "type": "mrkdwn",
        "text": "*What stands out*, with its share of the score\n"
        "•  `cpu`  93.1, expected 41.2–55  (62 %)\n"
        "•  `requests`  41.2k, expected 15.5k–20.1k  (21 %)\n"
        "•  `memory`  0.0125, expected 0.0102–0.0119  (12 %)\n"
        "and 1 more",
        "verbatim": True,
    },
}
FOOT = "event `0123456789abcdef`"


def test_an_open_event() -> None:
    """The golden payload of an opening."""
    message = make_message(example_change(details=example_details()))
    assert message.text == (
        "🔴 hosts: instance=web-1 is behaving abnormally: cpu 93.1, expected 41.2–55; "
        "requests 41.2k, expected 15.5k–20.1k; memory 0.0125, expected 0.0102–0.0119; and 1 more"
    )
    facts = [
        "*When*\nsince 2024-05-01 03:05 UTC, 7 min so far",
        "*Severity*\ncritical",
        "*How sure*\nvery sure (peak score 4.21; alarms start at 1)",
        "*This monitor lately*\n0.7 alarms a week not marked as real, 1 allowed",
    ]
    link = "<https://grafana.example/d/hosts?from=1714531980000&amp;to=1714533120000|Dashboard>"
    assert message.blocks == [
        {
            "type": "header",
            "text": {"type": "plain_text", "text": "🔴 hosts: instance=web-1 is behaving abnormally", "emoji": False},
        },
        {"type": "section", "fields": [{"type": "mrkdwn", "text": fact, "verbatim": True} for fact in facts]},
        CULPRITS,
        {"type": "section", "text": {"type": "mrkdwn", "text": link, "verbatim": True}},
        {"type": "context", "elements": [{"type": "mrkdwn", "text": FOOT, "verbatim": True}]},
    ]


def test_a_resolved_event() -> None:
    """Over is over at a glance; what stood out stays to be read."""
    blocks = make_message(example_change(Change.resolved)).blocks
    assert blocks[0]["text"]["text"] == "✅ hosts: instance=web-1 is back to normal"
    assert blocks[1]["fields"][0]["text"] == "*When*\n2024-05-01 03:05 UTC to 03:30 UTC, 25 min"
    assert blocks[2]["text"]["text"].startswith("*What stood out*")
    assert blocks[3:] == [{"type": "context", "elements": [{"type": "mrkdwn", "text": FOOT, "verbatim": True}]}]


def test_what_explains_it() -> None:
    """The fewest metrics that explain the event stand under the culprits, their names as code."""
    explanation = Explanation(("memory", "a`<!channel>"), 4.21, 0.61)
    text = make_message(example_change(explanation=explanation)).blocks[2]["text"]["text"]
    assert text.endswith(
        "and 1 more\n\n`memory` and `aˋ&lt;!channel&gt;` together explain it: "
        "with both as expected the peak score would be 0.61 instead of 4.2."
    )


hard = st.one_of(
    st.text(), st.sampled_from(["&", "<", ">", "`", "<!channel>", "<@U1>", "&amp;"]).map(lambda s: s * 900)
)


@given(label=hard, metric=hard, link=hard, url=hard)
def test_any_event_is_a_message_that_slack_takes(label: str, metric: str, link: str, url: str) -> None:
    """For any labels, metrics and links: within the limits, escaped, and mentioning no one."""
    details = Details(links={link: "https://x.example/" + url, "another": url})
    culprits = tuple(Culprit(metric, 0.5, 1e300, None, -1.0, 1.0) for _ in range(9))
    explanation = Explanation((metric,) * 3, 1e300, 0.5)
    change = example_change(
        group=(("path", label),), monitor=label, culprits=culprits, details=details, explanation=explanation
    )
    message = make_message(change)
    check({"text": message.text, "blocks": message.blocks, "metadata": message.metadata})


def test_labels_do_not_format() -> None:
    """Names are inline code, whose own sign is replaced: bold, emoji and quotes in a name stay what they are."""
    culprits = (Culprit("*a* `b` :fire: _c_", 1.0, 1.0, 2.0, 1.5, 2.5), Culprit("\n", 0.0, 1.0, 2.0, 1.5, 2.5))
    lines = make_message(example_change(culprits=culprits)).blocks[2]["text"]["text"].split("\n")
    assert lines[1].startswith("•  `*a* ˋbˋ :fire: _c_`  1, expected")
    assert lines[2].startswith("•  `\N{REPLACEMENT CHARACTER}`  1")


def test_links_stay_links() -> None:
    """Only web addresses become links, with all that would end them encoded; one that is endless is left out."""
    links = {"a": "javascript:alert(1)", "b|c": "https://x.example/?q=<a|b>&c=d e", "long": "https://x.example/" * 500}
    blocks = make_message(example_change(details=Details(links=links))).blocks
    assert blocks[3]["text"]["text"] == "<https://x.example/?q=%3Ca%7Cb%3E&amp;c=d%20e|Bc>"


@pytest.mark.parametrize(
    ("change", "severity", "known", "said"),
    [
        (Change.updated, Severity.warning, {"state": "open", "severity": "warning"}, None),
        (Change.updated, Severity.warning, {"state": "open", "severity": "critical"}, None),
        (Change.updated, Severity.warning, {"state": "open", "severity": "info"}, "🟠 Worse: warning now, info before"),
        (Change.updated, Severity.warning, {}, None),
        (Change.updated, Severity.info, {"state": "resolved", "severity": "info"}, "🔵 Abnormal again, since"),
        (Change.resolved, Severity.info, {"state": "open", "severity": "info"}, "✅ Back to normal since 2024-05-01"),
        (Change.resolved, Severity.info, {"state": "resolved", "severity": "info"}, None),
    ],
)
def test_what_is_news(change: Change, severity: Severity, known: dict[str, str], said: str | None) -> None:
    """A rise of the severity, the end and a return are news; the rest is not."""
    found = news(example_change(change, severity=severity), known)
    assert found is None if said is None else found is not None and found.startswith(said)
