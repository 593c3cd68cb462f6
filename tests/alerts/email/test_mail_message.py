"""The mail itself: readable without pictures, one thread per event, and nothing in it can forge a header."""

from __future__ import annotations

from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default
from html import escape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_alerts.email.message import compose, mailbox
from tsdiff_monitor.events.details import Details
from tsdiff_monitor.events.event import Change, Culprit, EventChange
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.testing import example_change, example_details

SENDER = Address("Monitoring", "monitor", "example.org")
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100


def mail(change: EventChange, **options: Any) -> EmailMessage:
    """The mail as a reader's program parses it."""
    composed = compose(change, sender=SENDER, to=[Address(addr_spec="a@example.org")], now=1_714_533_200.0, **options)
    parsed = message_from_bytes(composed.as_bytes(), policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed


def content(message: EmailMessage, kind: str) -> str:
    """The text of the body that is of this kind (``plain`` or ``html``)."""
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def test_headers_and_text_of_an_opening() -> None:
    """Sender, recipients, state, and that no person wrote it; the text says all that the picture shows."""
    message = mail(example_change(details=example_details()), cc=[Address("Boss", "boss", "example.org")])
    headers = dict(message.items())
    headers.pop("Content-Type"), headers.pop("MIME-Version")
    assert headers == {
        "From": "Monitoring <monitor@example.org>",
        "To": "a@example.org",
        "Cc": "Boss <boss@example.org>",
        "Subject": "[CRITICAL] hosts: instance=web-1 is behaving abnormally",
        "Date": "Wed, 01 May 2024 03:13:20 +0000",
        "Message-ID": "<0123456789abcdef@example.org>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "X-Tsdiff-Event": "0123456789abcdef",
        "X-Tsdiff-Change": "opened",
        "X-Tsdiff-Severity": "critical",
        "Importance": "high",
    }
    assert content(message, "plain").splitlines() == [
        "hosts: instance=web-1 is behaving abnormally",
        "Since 2024-05-01 03:05 UTC, 7 min so far.",
        "Severity critical; very sure (peak score 4.21; alarms start at 1).",
        "",
        "What departed most, at the peak, with its share of the score:",
        "  cpu: 93.1, expected 41.2–55 (62 %)",
        "  requests: 41.2k, expected 15.5k–20.1k (21 %)",
        "  memory: 0.0125, expected 0.0102–0.0119 (12 %)",
        "  and 1 more",
        "",
        "This monitor lately: 0.7 alarms a week not marked as real, 1 allowed",
        "",
        f"Dashboard: {example_details().links['dashboard']}",
    ]


def test_what_explains_it() -> None:
    """Text and HTML name the fewest metrics that explain the event, as text under any names."""
    message = mail(example_change(explanation=Explanation(("memory", "<b>gc"), 4.21, 0.61)))
    said = "memory and <b>gc together explain it: with both as expected the peak score would be 0.61 instead of 4.2."
    lines = content(message, "plain").splitlines()
    assert lines[lines.index("  and 1 more") + 1 :] == ["", said]
    assert f'overflow-wrap:anywhere">{escape(said)}</p>' in content(message, "html")
    assert "explain" not in content(mail(example_change()), "html")


def test_the_mails_of_an_event_are_one_thread() -> None:
    """Updates and the resolution refer to the first mail; each has an id of its own; the subject says the state."""
    changes = [example_change(change, sequence) for sequence, change in enumerate(Change)]
    first, update, last = [mail(change) for change in changes]
    assert "References" not in first
    assert update["References"] == update["In-Reply-To"] == last["References"] == first["Message-ID"]
    assert len({message["Message-ID"] for message in (first, update, last)}) == 3
    assert update["Subject"] == "[CRITICAL, update] hosts: instance=web-1 is still behaving abnormally"
    assert last["Subject"] == "[RESOLVED] hosts: instance=web-1 is back to normal"
    assert "Importance" not in last


def test_the_picture_is_within_the_html() -> None:
    """The HTML shows the picture that came with it; without one there is no empty frame."""
    message = mail(example_change(details=example_details()), picture=PNG)
    (picture,) = [part for part in message.walk() if part.get_content_maintype() == "image"]
    assert picture.get_content() == PNG and picture.get_content_disposition() == "inline"
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in content(message, "html")
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
    ]
    assert "<img" not in content(mail(example_change()), "html")


def test_html_shows_hostile_names_as_text() -> None:
    """Markup in names and links stays text; an address that a browser would run is no link."""
    links = {"<b>x": 'https://x.example/"onclick="alert(1)', "run": "javascript:alert(1)"}
    change = example_change(
        group=(("path", "<script>alert(1)</script>"),),
        culprits=(Culprit("<img src=x>", 1.0, 1.0, 2.0, 1.5, 2.5),),
        details=Details(links=links),
    )
    html = content(mail(change), "html")
    assert "<script>" not in html and "<img" not in html and "<b>" not in html and "javascript:" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert 'href="https://x.example/&#34;onclick=&#34;alert(1)"' in html


NAMES = st.text(max_size=120) | st.sampled_from(["a\r\nBcc: x@evil.example", "a\n\nbody", "\ud800", "x" * 3000, "\0"])


@settings(deadline=None, max_examples=50)
@given(NAMES, NAMES, NAMES)
def test_no_name_can_forge_a_header(monitor: str, label: str, event: str) -> None:
    """For any names of monitors, groups and events, the headers are those that we set, and the mail can be sent."""
    change = example_change(Change.updated, 1, monitor=monitor, group=(("path", label),), id=event)
    message = mail(change)
    expected = mail(example_change(Change.updated, 1))
    assert set(message.keys()) == set(expected.keys())
    assert [str(one) for one in message["To"].addresses] == ["a@example.org"]
    assert content(message, "plain").count("Severity critical;") == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a@example.org", "a@example.org"),
        (" Monitoring <m@example.org> ", "Monitoring <m@example.org>"),
        ('"Ops, night" <m@example.org>', '"Ops, night" <m@example.org>'),
        ("Wächter <m@example.org>", "Wächter <m@example.org>"),
        ("m@[192.0.2.1]", "m@[192.0.2.1]"),
    ],
)
def test_addresses(text: str, shown: str) -> None:
    """Addresses with and without words are understood."""
    assert str(mailbox(text)) == shown


@pytest.mark.parametrize(
    "text",
    ["", "a", "a@", "@b", "a@b@c", "a b@c", "a@b, c@d", "<a@b", "a@b\r\nTo: c@d", "a\0@b", "ä@b.org", "a@bü.org"],
)
def test_what_is_no_address(text: str) -> None:
    """Lists, line ends, halves of addresses and letters that not every server takes are refused."""
    with pytest.raises(ValueError, match="is no mail address"):
        mailbox(text)
