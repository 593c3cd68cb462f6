"""The promises of every reader, as tests to derive from."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import GroupSelector, History, Reader, ReadRequest
from tsdiff_monitor.testing.checks import check_config, check_reason, check_silent, raised
from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["ReaderConformance"]


class ReaderConformance:
    """Derive, name the class ``Test...``, and give at least :meth:`make` and :meth:`request`.

    The source must answer the same while a test runs.
    """

    secrets: ClassVar[tuple[str, ...]] = ()
    """Secrets in the configuration that :meth:`make` and :meth:`broken` use."""

    def make(self) -> Reader:
        """A new reader of a source that works."""
        raise NotImplementedError

    def request(self) -> ReadRequest:
        """A request of at least four rows for which the source has values."""
        raise NotImplementedError

    def broken(self) -> Reader | None:
        """A new reader whose source is down; None where that cannot be."""
        return None

    def test_is_a_reader(self) -> None:
        """The class satisfies the contract, and its configuration is strict and documented."""
        reader = self.make()
        assert isinstance(reader, Reader), "there is no method `read`"
        check_config(reader)

    def test_frames_cover_the_request(self) -> None:
        """Every frame holds the multiples of the step with ``start <= t < end``, all of them and no others."""
        request = self.request()
        frames = self.make().read(request).frames
        assert frames, "the request must find values"
        expected = _grid(request)
        for group, frame in frames.items():
            assert frame.step == request.step, f"{group}: the step is {frame.step} instead of {request.step}"
            assert frame.times.equals(expected), f"{group}: {_span(frame.times)} instead of {_span(expected)}"
        assert any(frame.observed.any() for frame in frames.values()), "the request must find values"

    def test_groups_carry_the_labels_asked_for(self) -> None:
        """A group is the sorted pairs of exactly the ``groupby`` labels."""
        request = self.request()
        for group in self.make().read(request).frames:
            labels = tuple(label for label, _ in group)
            assert labels == tuple(sorted(request.groupby)), f"{group} is not grouped by {request.groupby}"
            assert all(isinstance(value, str) for _, value in group), f"{group}: values must be text"

    def test_without_groupby_there_is_one_group(self) -> None:
        """Without ``groupby``, all series are in one frame under the empty group."""
        request = dataclasses.replace(self.request(), groupby=())
        assert set(self.make().read(request).frames) == {()}

    def test_series_name_their_query(self) -> None:
        """Every series has a name and says which of the request's queries it came from."""
        request = self.request()
        known = {query.name for query in request.queries}
        for frame in self.make().read(request).frames.values():
            for series in frame.series:
                assert series.name, "a series has no name"
                assert series.query in known, f"{series.name}: its query {series.query!r} is none of {sorted(known)}"

    def test_reading_twice_gives_the_same(self) -> None:
        """The same request is answered alike, by one reader and by another."""
        request, reader = self.request(), self.make()
        first = reader.read(request).frames
        for again in (reader.read(request).frames, self.make().read(request).frames):
            assert set(again) == set(first), "the groups differ between two readings"
            for group, frame in first.items():
                assert set(again[group].names) == set(frame.names), f"{group}: the series differ between two readings"
                same = np.array_equal(again[group].select(frame.names).values, frame.values, equal_nan=True)
                assert same, f"{group}: the values differ between two readings"

    def test_pieces_make_the_whole(self) -> None:
        """Two adjoining requests bring the rows that one request brings: none twice, none lost."""
        request = self.request()
        middle = _grid(request)[len(_grid(request)) // 2]
        reader = self.make()
        whole = reader.read(request).frames
        parts = [
            reader.read(dataclasses.replace(request, end=middle)).frames,
            reader.read(dataclasses.replace(request, start=middle)).frames,
        ]
        for group, frame in whole.items():
            rows = [part[group] for part in parts if group in part]
            joined = rows[0] if len(rows) == 1 else rows[0].concat(rows[1])
            for k, name in enumerate(frame.names):
                there = frame.observed[:, k]
                actual = _at(joined, name, frame.times[there])
                assert np.array_equal(actual, frame.values[there, k]), (
                    f"{group}: {name} differs when read in two pieces"
                )

    def test_groups_asked_for_are_those_of_a_whole_reading(self) -> None:
        """With ``groups`` given, the frames of those groups equal those that a reading of all groups brings."""
        request = self.request()
        whole = self.make().read(request).frames
        wanted = frozenset(sorted(whole)[::2])
        reader = self.make()
        found = reader.read(dataclasses.replace(request, groups=wanted)).frames
        assert found.keys() >= wanted, f"{sorted(wanted - found.keys())} were asked for, and are not in the answer"
        for group in wanted:
            assert found[group].names == whole[group].names, f"{group}: other series when groups are asked for"
            same = np.array_equal(found[group].values, whole[group].values, equal_nan=True)
            assert same, f"{group}: other values when groups are asked for"
        if isinstance(reader, GroupSelector) and reader.selects_groups:
            others = sorted(found.keys() - wanted)
            assert not others, f"{others} were read too, although the reader says that it selects groups"

    def test_an_empty_span_is_no_error(self) -> None:
        """If start and end coincide there is nothing to read, and no error."""
        request = self.request()
        reading = self.make().read(dataclasses.replace(request, end=request.start))
        assert all(len(frame) == 0 for frame in reading.frames.values())

    def test_a_source_that_is_down_is_reported_as_such(self) -> None:
        """It raises ``SourceError`` with a reason, and neither the error nor the reader gives a secret away."""
        reader = self.broken()
        if reader is not None:
            error = raised(SourceError, lambda: reader.read(self.request()))
            check_reason(error.reason)
            check_silent(self.secrets, error, reader)

    def test_the_reader_keeps_its_secrets(self) -> None:
        """The text and repr of the reader show no secret."""
        check_silent(self.secrets, self.make())

    def test_history_is_well_formed(self) -> None:
        """A reader that knows its history gives spans that are not empty, and incidents within the request."""
        reader, request = self.make(), self.request()
        if not isinstance(reader, History):
            return
        for group, extent in reader.extents(request.groupby).items():
            assert extent.fit_start < extent.fit_end, f"{group}: the span to fit on is empty"
            assert extent.start < extent.end, f"{group}: the span to score is empty"
        groups = reader.read(request).frames
        for incident in reader.incidents(request) or ():
            assert request.start <= incident.start < incident.end <= request.end, f"{incident} lies outside the request"
            if incident.group in groups:
                unknown = set(incident.culprits) - set(groups[incident.group].names)
                assert not unknown, f"the culprits {sorted(unknown)} are no series of {incident.group}"


def _grid(request: ReadRequest) -> pd.DatetimeIndex:
    step = request.step.as_unit("ns").value
    first, last = (-(-time.as_unit("ns").value // step) for time in (request.start, request.end))
    return pd.DatetimeIndex(np.arange(first, last, dtype=np.int64) * step, dtype="datetime64[ns, UTC]")


def _span(times: pd.DatetimeIndex) -> str:
    return f"{len(times)} rows" + (f" from {times[0]} to {times[-1]}" if len(times) else "")


def _at(frame: Frame, name: str, times: pd.DatetimeIndex) -> np.ndarray:
    """The values of one series at ``times``, NaN where the frame lacks them."""
    if name not in frame.names:
        return np.full(len(times), np.nan, dtype=np.float32)
    column = pd.Series(frame.values[:, frame.names.index(name)], index=frame.times)
    return column.reindex(times).to_numpy()
