"""The page: self-contained, honest, safe with any name, and whole for any amount of data."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.backtest.report.html import MAX_DETAILED, MAX_TIMELINES, render
from tsdiff_monitor.backtest.report.replay import EventRows, Replay
from tsdiff_monitor.backtest.report.summary import assess
from tsdiff_monitor.events.event import Culprit
from tsdiff_monitor.events.explanation import Explanation
from tsdiff_monitor.timeseries.scores import Scores

_VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tags, ids and links of a page; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src", "xlink:href", "action"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def page(replay: Replay) -> str:
    return render(replay, assess(replay))


def test_the_page_refers_to_nothing_outside_itself(labelled: Replay) -> None:
    """No request leaves the page: every link is a fragment of it, and no address appears anywhere."""
    text = page(labelled)
    parsed = Page(text)
    assert {link for link in parsed.links if not link.startswith("#")} == {"data:,"}
    assert "http:" not in text
    assert "https:" not in text
    assert not re.search(r"@import|@font-face|url\((?!#)", text)


def test_every_link_leads_somewhere_and_ids_are_unique(labelled: Replay) -> None:
    """Charts, tables and tooltips link to sections that exist."""
    parsed = Page(page(labelled))
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {link[1:] for link in parsed.links if link.startswith("#")} <= set(parsed.ids)
    assert {"event-web-103", "event-web-400", "event-db-220", "incident-3"} <= set(parsed.ids)


def test_the_policy_allows_exactly_the_page_s_own_script(labelled: Replay) -> None:
    """The content security policy carries the hash of the one script, and nothing else may run."""
    text = page(labelled)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src &#39;none&#39;" in text or "default-src 'none'" in text
    assert f"script-src 'sha256-{digest}'" in text


def test_misses_and_false_events_are_as_plain_as_hits(labelled: Replay) -> None:
    """The page counts and marks what went wrong."""
    text = page(labelled)
    assert "2 of 3" in text
    assert "1 missed" in text
    assert "Meets no labelled incident" in text
    assert "False event 2025-03-03 06:40 – 07:00" in text
    assert "traffic drop from 2025-03-03 08:20, missed" in text
    assert "The traffic drop lasted 40m; the score reached" in text


def test_an_incident_found_in_another_group_only_is_marked_so(make) -> None:
    """A group that did not see an incident does not take credit for the group that did."""
    web, db = (("service", "web"),), (("service", "db"),)
    groups = [
        make.group(group=web, incidents=[make.incident(100, 140, group=web, kind="slow disk")]),
        make.group(group=db, incidents=[make.incident(100, 140, group=db, kind="slow disk")], events=[(110, 120)]),
    ]
    text = page(make.replay(*groups))
    assert text.count("slow disk from 2025-03-03 01:40, found in another group") == 2  # the bar and its marker
    assert text.count("slow disk from 2025-03-03 01:40, found<") == 2


def test_what_a_metric_was_and_should_have_been_is_a_sentence(labelled: Replay) -> None:
    """The person on call reads the cause before any chart."""
    flat = re.sub(r"<[^>]+>", "", page(labelled)).replace("\u00a0", " ")
    assert "latency_p99_ms was 412, expected 80–121, and carries 64 % of the score." in flat


def test_what_explains_an_event_stands_with_it(make) -> None:
    """The section of an event says which few metrics explain it, after what departed most."""
    event = make.event(100, 110, explanation=Explanation(("latency_p99_ms", "<i>"), 6.5, 0.6))
    text = page(make.replay(make.group(400, events=[event])))
    said = "<code>latency_p99_ms</code> and <code>&lt;i&gt;</code> together explained it: with both as expected"
    assert f"of the score. {said} the peak score would have been 0.6 instead of 6.5.</p>" in text
    assert "together explained" not in page(make.replay(make.group(400, events=[(100, 110)])))


def test_without_labels_no_verdict_is_shown(make) -> None:
    """Unlabelled data is not dressed up as found or false."""
    text = page(make.replay(make.group(events=[(100, 120)])))
    assert "for you to judge" in text
    assert "Labelled incidents" not in text
    assert "Incidents found" not in text


def test_names_cannot_inject_anything(make) -> None:
    """Markup, mathematics and rare letters in names are shown as they are, everywhere."""
    evil = "<script>alert('x')</script> --> $\\frac{a}{b}$ \"quoted\" 延迟"
    group = (("service", evil),)
    event = make.event(100, 140, group=group, id="e1", culprits=(Culprit(evil, 1.0, 1.0, 1.0, 1.0, 1.0),))
    incident = make.incident(100, 140, group=group, kind=evil, culprits=(evil,))
    missed = make.incident(200, 240, group=group, kind=evil, culprits=(evil,))
    one = make.group(group=group, events=[event], incidents=[incident, missed], names=(evil, "b"))
    text = page(make.replay(one, title=evil, monitor=evil, config_text=evil, notes=(evil,)))
    assert text.count("<script>") == 1
    parsed = Page(text)
    assert parsed.tags.count("script") == 1
    assert sum(evil in data for data in parsed.texts) > 10


def test_the_strongest_events_have_sections_and_the_rest_are_listed(make) -> None:
    """Two hundred events keep the page readable: all are in the table, the strongest are explained."""
    events = [make.event(40 * k, 40 * k + 10, peak=1.5 + k / 10) for k in range(200)]
    one = make.group(8100, events=events)
    keep = {e.id: one.evidence[e.id] for e in events[-3:]}  # the charts are tested elsewhere
    one = type(one)(one.group, one.frame, one.scores, one.events, one.incidents, keep)
    parsed = Page(page(make.replay(one)))
    sections = [name for name in parsed.ids if name.startswith("event-")]
    assert len(sections) == MAX_DETAILED
    assert f"event-{events[-1].id}" in sections
    assert f"event-{events[0].id}" not in sections
    assert parsed.tags.count("tr") > 200


def test_many_groups_keep_their_busiest_charts(make) -> None:
    """Beyond the limit quiet groups lose their chart, not those with events."""
    groups = [make.group(30, group=(("host", f"h{k:02}"),), seed=k) for k in range(MAX_TIMELINES + 2)]
    busy = make.group(30, group=(("host", "z"),), events=[(10, 15)])
    text = page(make.replay(*groups, busy))
    assert "Anomaly score of host=z over time" in text
    assert "3 more groups without a chart" in text


def test_wide_groups(make) -> None:
    """Nine hundred metrics with long names cost no more charts than six."""
    names = tuple(f"{'very_' * 30}long_metric_name_{k}" for k in range(900))
    event = make.event(100, 120, culprits=tuple(Culprit(name, 1 / 900, 1.0, 1.0, 0.5, 1.5) for name in names))
    text = page(make.replay(make.group(200, events=[event], names=names)))
    assert text.count("<figure>") == 6
    assert "and 892 more metrics with smaller shares" in text


def test_no_score_at_all(make) -> None:
    """A replay over nothing but gaps says so instead of failing."""
    text = page(make.replay(make.group(100, gaps=[(0, 100)], incidents=[make.incident(10, 20)])))
    assert "Nothing was scored" in text
    assert "its rows were not scored" in text


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_tiny_replays(make, rows: int) -> None:
    """A span of no row, one row or two is drawn like any other."""
    one = make.group(rows, incidents=[])
    assert "h1" in Page(page(make.replay(one))).tags


def test_an_event_with_nothing_known_about_it(make) -> None:
    """No culprits, no evidence, a peak that is no number, still open: the section is there all the same."""
    event = make.event(100, 120, culprits=(), peak=float("nan"), open_=True)
    one = make.group(events=[make.event(100, 120)])
    one = type(one)(one.group, one.frame, one.scores, (event,), None, {})
    text = page(make.replay(one))
    assert "still open" in text
    assert "No rows were kept around this event." in text


def test_an_event_without_culprits_shows_the_most_suspected_metrics(make) -> None:
    """Evidence without named culprits is drawn by attribution, and gaps all through it do no harm."""
    event = make.event(100, 120, culprits=())
    one = make.group(events=[event], gaps=[(0, 400)])
    assert page(make.replay(one)).count("<figure>") == 4


def test_evidence_of_other_series_than_the_culprits(make) -> None:
    """A culprit that is not in the evidence is listed without a chart, and one without expectation with its values."""
    event = make.event(100, 120, culprits=(Culprit("gone", 0.6, None, 2.0, 1.0, 3.0), *make.event(0, 1).culprits))
    one = make.group(events=[event])
    old = one.evidence[event.id]
    part = old.expected
    fewer = type(part)(part.times, part.series[1:], part.yhat[:, 1:], part.yhat_lower[:, 1:], part.yhat_upper[:, 1:])
    one = type(one)(
        one.group, one.frame, one.scores, one.events, None, {event.id: EventRows(old.frame, old.scores, fewer)}
    )
    text = page(make.replay(one))
    assert "<code>gone</code> had no value, expected 1–3" in text
    assert 'aria-label="latency_p99_ms' in text
    assert 'aria-label="gone' not in text


def test_times_without_a_clock(make) -> None:
    """Data numbered from the epoch is a replay like any other."""
    one = make.group(300)
    shift = one.frame.start - pd.Timestamp(0, tz="UTC")
    frame = type(one.frame)(one.frame.start - shift, one.frame.step, one.frame.values, one.frame.series)
    scores = Scores(frame.times, one.scores.series, one.scores.score, one.scores.attribution)
    early = type(one)(one.group, frame, scores, ())
    assert "1970-01-01 00:00" in page(make.replay(early, start=frame.start, end=frame.end))


def test_drawing_a_long_replay_keeps_the_page_small_and_every_peak(make) -> None:
    """24,000 rows are thinned to the pixels there are; a single high row among them is still drawn to its top."""
    quiet = make.group(24_000)
    score = quiet.scores.score.copy()
    score[12_345] = 900.0
    scores = Scores(quiet.scores.times, quiet.scores.series, score, quiet.scores.attribution)
    text = page(make.replay(type(quiet)(quiet.group, quiet.frame, scores, ())))
    assert len(text) < 150_000
    assert ">100</text>" in text
    assert np.nanmax(score) == 900.0
