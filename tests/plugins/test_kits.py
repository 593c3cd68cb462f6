"""The kits accept what keeps the promises, and catch what breaks them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import httpx
import pandas as pd
import pytest

from tsdiff_monitor.errors import DeliveryError, SourceError, WriteError
from tsdiff_monitor.events.event import Change, EventChange
from tsdiff_monitor.plugins import Context, History, Notifier, Query, Reader, Reading, ReadRequest, Writer
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.testing import (
    FakeClock,
    HttpNotifierConformance,
    MemoryNotifier,
    MemoryReader,
    MemoryWriter,
    NotifierConformance,
    ReaderConformance,
    WriterConformance,
    example_batch,
    example_change,
    example_event,
    example_frame,
)
from tsdiff_monitor.timeseries.frame import Frame, Group, Series
from tsdiff_monitor.timeseries.scores import ScoreBatch


class Config(StrictModel):
    """No keys: what the fakes lack to be plug-ins."""


def relabelled(reading: Reading, group: Group) -> Reading:
    """The reading's one frame under another group."""
    return Reading({group: next(iter(reading.frames.values()))}) if reading.frames else reading


class PluggedReader(MemoryReader):
    """The fake with a configuration; ungrouped, its frame stands under the empty group."""

    Config = Config

    def read(self, request: ReadRequest) -> Reading:
        reading = super().read(request)
        return reading if request.groupby else relabelled(reading, ())


class PluggedWriter(MemoryWriter):
    """The fake with a configuration."""

    Config = Config


class PluggedNotifier(MemoryNotifier):
    """The fake with a configuration."""

    Config = Config


class TestMemoryReader(ReaderConformance):
    """The fake reader keeps the promises."""

    def make(self) -> Reader:
        return PluggedReader({(("instance", "web-1"),): example_frame(missing=0.2)})

    def request(self) -> ReadRequest:
        start = pd.Timestamp("2024-05-01T00:10:00Z")
        return ReadRequest(
            (Query("a", "cpu"), Query("b", "*")), start, start + pd.Timedelta("2h"), pd.Timedelta("5min"), ("instance",)
        )

    def broken(self) -> Reader:
        return PluggedReader({}, failures=[SourceError("down", reason="down")])


class TestMemoryWriter(WriterConformance):
    """The fake writer keeps the promises."""

    def setup_method(self) -> None:
        self.writer = PluggedWriter()

    def make(self) -> Writer:
        return self.writer

    def stored(self) -> Any:
        return {key: f"{score}" for key, score in self.writer.rows.items()}

    def broken(self) -> Writer:
        return PluggedWriter(failures=[WriteError("full", recoverable=True, reason="full")])


class TestMemoryNotifier(NotifierConformance):
    """The fake notifier keeps the promises."""

    def make(self, context: Context) -> Notifier:
        return PluggedNotifier()


def caught(kit: Any, test: str) -> str:
    """The kit's complaint."""
    with pytest.raises(AssertionError) as error:
        getattr(kit, test)()
    return str(error.value)


def reader_kit(change: Callable[[Reading, ReadRequest], Reading]) -> ReaderConformance:
    """The kit over a reader whose answers are changed."""

    class Bad(PluggedReader):
        def read(self, request: ReadRequest) -> Reading:
            return change(super().read(request), request)

    class Kit(TestMemoryReader):
        def make(self) -> Reader:
            return Bad({(("instance", "web-1"),): example_frame()})

    return Kit()


def reframed(reading: Reading, change: Callable[[Frame], Frame]) -> Reading:
    """The reading with each frame changed."""
    return Reading({group: change(frame) for group, frame in reading.frames.items()})


def test_the_reader_kit_catches_an_inclusive_end() -> None:
    """A reader that brings the row at ``end`` too is caught."""

    def longer(frame: Frame) -> Frame:
        return frame.concat(Frame(frame.end, frame.step, frame.values[-1:], frame.series))

    assert "25 rows" in caught(reader_kit(lambda r, _: reframed(r, longer)), "test_frames_cover_the_request")


def test_the_reader_kit_catches_lost_rows() -> None:
    """A reader that loses the row where two requests meet is caught."""

    def first_lost(frame: Frame) -> Frame:
        values = frame.values.copy()
        values[:1] = float("nan")
        return Frame(frame.start, frame.step, values, frame.series)

    complaint = caught(reader_kit(lambda r, _: reframed(r, first_lost)), "test_pieces_make_the_whole")
    assert "differs when read in two pieces" in complaint


def test_the_reader_kit_catches_wrong_groups_and_queries() -> None:
    """Groups under other labels, and series that name no query, are caught."""
    wrong = reader_kit(lambda r, _: relabelled(r, (("host", "a"),)))
    assert "not grouped by" in caught(wrong, "test_groups_carry_the_labels_asked_for")
    nameless = reader_kit(lambda r, _: reframed(r, lambda f: Frame(f.start, f.step, f.values[:, :1], (Series("x"),))))
    assert "its query '' is none of" in caught(nameless, "test_series_name_their_query")


def test_the_reader_kit_catches_groups_that_are_read_differently() -> None:
    """A group that is missing when asked for by name, has other values, or comes with others is caught."""
    test = "test_groups_asked_for_are_those_of_a_whole_reading"

    def asked(change: Callable[[Reading], Reading]) -> ReaderConformance:
        return reader_kit(lambda reading, request: reading if request.groups is None else change(reading))

    def doubled(frame: Frame) -> Frame:
        return Frame(frame.start, frame.step, 2 * frame.values, frame.series)

    def with_another(reading: Reading) -> Reading:
        return Reading({**reading.frames, (("instance", "web-2"),): next(iter(reading.frames.values()))})

    assert "are not in the answer" in caught(asked(lambda reading: Reading({})), test)
    assert "other values" in caught(asked(lambda reading: reframed(reading, doubled)), test)
    assert "were read too" in caught(asked(with_another), test)


def test_the_reader_kit_catches_foreign_errors_and_secrets() -> None:
    """An error of another kind is no ``SourceError``, and one that shows the password is caught."""

    class Foreign(TestMemoryReader):
        def broken(self) -> Reader:
            return PluggedReader({}, failures=[ValueError("boom")])

    class Loose(TestMemoryReader):
        secrets = ("hunter2",)

        def broken(self) -> Reader:
            return PluggedReader({}, failures=[SourceError("cannot open http://me:hunter2@host", reason="down")])

    assert "raises ValueError" in caught(Foreign(), "test_a_source_that_is_down_is_reported_as_such")
    complaint = caught(Loose(), "test_a_source_that_is_down_is_reported_as_such")
    assert "shows a secret" in complaint and "hunter2" not in complaint


def test_the_writer_kit_catches_doubled_rows() -> None:
    """A writer that appends what it has already is caught."""

    class Kit(TestMemoryWriter):
        def stored(self) -> Any:
            return len(self.writer.batches)

    kit = Kit()
    kit.setup_method()
    assert "changed the store" in caught(kit, "test_writing_again_changes_nothing")


def test_the_writer_kit_catches_groups_that_overwrite_each_other() -> None:
    """A writer whose names collide is caught."""

    class Colliding(PluggedWriter):
        def write(self, batch: ScoreBatch) -> None:
            super().write(dataclasses.replace(batch, group=(("path", batch.group[0][1].lower().replace("/", "_")),)))

    kit = TestMemoryWriter()
    kit.writer = Colliding()
    assert "overwrote another group" in caught(kit, "test_groups_are_kept_apart")


class Hook:
    """A notifier with one fault."""

    Config = Config

    def __init__(self, context: Context, fault: str) -> None:
        self._client = httpx.Client(transport=context.transport, follow_redirects=fault == "follows")
        self._fault = fault
        self._sent = 0

    def notify(self, change: EventChange) -> None:
        self._sent += 1
        key = "same" if self._fault == "same key" else change.key
        try:
            response = self._client.post("https://hooks.example/token-1", headers={"Idempotency-Key": key})
            after = response.headers.get("Retry-After")
            if not response.is_success:
                recoverable = response.status_code >= (400 if self._fault == "retries all" else 500)
                recoverable = recoverable or response.status_code in (408, 425, 429)
                shown = "https://hooks.example/token-1" if self._fault == "loose" else "the hook"
                wait = None if after is None or self._fault == "no wait" else float(after)
                raise DeliveryError(f"{shown} refused", recoverable=recoverable, reason="refused", retry_after=wait)
        except httpx.TransportError as error:
            if self._fault == "raw":
                raise
            raise DeliveryError("no network", recoverable=True, reason="network") from error


@pytest.mark.parametrize(
    ("fault", "test", "complaint"),
    [
        ("same key", "test_a_repetition_is_recognisable", "two changes share an identity"),
        ("retries all", "test_statuses_that_no_retry_cures", "status 400 must not be recoverable"),
        ("loose", "test_statuses_that_a_retry_may_cure", "DeliveryError shows a secret"),
        ("no wait", "test_retry_after_is_passed_on", "retry_after is None"),
        ("raw", "test_network_failures_are_recoverable", "raises ConnectTimeout"),
        ("follows", "test_statuses_that_no_retry_cures", "raises TooManyRedirects"),
    ],
)
def test_the_notifier_kit_catches(fault: str, test: str, complaint: str) -> None:
    """Each fault of an HTTP notifier is caught by the test that promises its absence; without it all pass."""

    class Kit(HttpNotifierConformance):
        secrets = ("token-1",)
        fault = ""

        def make(self, context: Context) -> Notifier:
            return Hook(context, self.fault)

    for name in [name for name in dir(Kit) if name.startswith("test_")]:
        getattr(Kit(), name)()
    Kit.fault = fault
    assert complaint in caught(Kit(), test)


def test_the_kits_ask_for_documented_keys() -> None:
    """A key without a docstring is caught: it is the users' documentation."""

    class Undocumented(MemoryNotifier):
        class Config(StrictModel):
            url: str = ""

    class Kit(NotifierConformance):
        def make(self, context: Context) -> Notifier:
            return Undocumented()

    assert "without one: url" in caught(Kit(), "test_is_a_notifier")


def test_fakes_fail_as_scripted() -> None:
    """A scripted failure is raised once, in its turn, and then the fake works again."""
    notifier = MemoryNotifier(failures=[None, DeliveryError("down", recoverable=True, reason="down")])
    changes = [example_change(sequence=i) for i in range(3)]
    notifier.notify(changes[0])
    with pytest.raises(DeliveryError):
        notifier.notify(changes[1])
    notifier.notify(changes[2])
    assert (notifier.changes, notifier.attempts) == ([changes[0], changes[2]], changes)
    clock = FakeClock(5.0)
    clock.advance(2.5)
    assert clock() == 7.5


def test_examples_are_what_they_claim() -> None:
    """Examples repeat exactly, survive their JSON form, and their parts fit each other."""
    assert example_frame().values.tobytes() == example_frame().values.tobytes()
    for change in Change:
        event = example_change(change).event
        assert type(event).from_json(event.to_json()) == event
        assert (event.state == "resolved") == (change is Change.resolved)
    assert example_event(peak=9.0).peak == 9.0
    batch = example_batch(missing=0.3)
    assert len(batch.scores) == len(batch.frame) == len(batch.scores.attribution)
    reader = MemoryReader({(): example_frame()})
    assert isinstance(reader, History)
    assert all(extent.fit_end == extent.start for extent in reader.extents(()).values())
