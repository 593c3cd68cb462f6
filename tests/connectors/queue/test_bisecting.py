"""A sample that a target refuses is found by halving, and all others arrive, in order."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.queue.bisect import PoisonSampleBisector, Refusal, Verdict, judge
from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_monitor.http.failure import HttpFailure, judge_status


def failure(status: int | None, body: str = "") -> HttpFailure:
    """The client's error for an answer; None: no connection."""
    if status is None:
        return HttpFailure("no connection", reason="connect")
    return HttpFailure(f"answered {status}", reason=judge_status(status)[0], status=status, body=body)


def label(number: int) -> Labels:
    """A series."""
    return (("__name__", "y"), ("for", str(number)))


def samples(series: int, each: int = 1, first: int = 0) -> Samples:
    """So many series with ``each`` samples; a sample's value is its series' number."""
    values = np.repeat(np.arange(first, first + series, dtype=float)[:, None], each, axis=1)
    return Samples.of([label(number) for number in range(first, first + series)], np.arange(each), values)


class Store:
    """Takes a request whole or, when ``problem`` finds one with any of its samples, not at all."""

    def __init__(self, problem: Callable[[float, int], HttpFailure | None]) -> None:
        self.problem = problem
        self.requests: list[int] = []
        self.rows: list[tuple[float, int]] = []
        self.may_retry: list[bool] = []

    def send(self, given: Samples, retry: bool) -> None:
        self.requests.append(len(given))
        self.may_retry.append(retry)
        rows = [(value, int(time)) for _, times, values in given for time, value in zip(times, values, strict=True)]
        for row in rows:
            if error := self.problem(*row):
                raise error
        self.rows += rows


def bad(status: int, *series: int, body: str = "bad label") -> Callable[[float, int], HttpFailure | None]:
    """These series are never accepted."""
    return lambda value, time: failure(status, body) if value in series else None


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (None, "", Verdict.down),
        (401, "", Verdict.down),
        (404, "database not found", Verdict.down),
        (429, "", Verdict.down),
        (503, "", Verdict.down),
        (500, "duplicate label", Verdict.target_down),
        (400, "label name is not unique", Verdict.refused),
        (413, "", Verdict.refused),
        (422, "unprocessable", Verdict.refused),
        (400, "out of order sample", Verdict.settled),
        (400, "duplicate sample for timestamp", Verdict.settled),
        (400, "out of bounds", Verdict.settled),
        (400, "the sample has been rejected (err-mimir-sample-out-of-order)", Verdict.settled),
        (400, "(err-mimir-sample-timestamp-too-old)", Verdict.settled),
        (400, "partial write: points beyond retention policy dropped=1", Verdict.settled),
        (409, "conflict", Verdict.settled),
    ],
)
def test_what_an_answer_says_about_the_samples(status: int | None, body: str, verdict: Verdict) -> None:
    """Refused credentials or an overload say nothing about them; other texts distinguish late samples from bad ones."""
    assert judge(failure(status, body)) is verdict


def test_all_is_well() -> None:
    """One request, which the client may repeat by itself."""
    store = Store(bad(400))
    outcome = PoisonSampleBisector(store.send).deliver(samples(100, 3))
    assert (outcome.accepted, outcome.refusals, store.requests, store.may_retry) == (300, [], [300], [True])


def test_a_refused_series_is_isolated() -> None:
    """One bad series among a thousand costs some requests, and none of the others."""
    store = Store(bad(400, 617))
    outcome = PoisonSampleBisector(store.send).deliver(samples(1000))
    assert outcome.refusals == [Refusal(label(617), 1, Verdict.refused, "bad label")]
    assert outcome.accepted == 999
    assert sorted(value for value, _ in store.rows) == [n for n in range(1000) if n != 617]
    assert len(store.requests) <= 22
    assert not any(store.may_retry[1:])


def test_a_late_sample_does_not_take_its_series_along() -> None:
    """Of a series only the samples that come too late are left out, and those left keep their order."""
    store = Store(lambda value, time: failure(400, "out of order sample") if time < 3 and value == 1 else None)
    outcome = PoisonSampleBisector(store.send).deliver(samples(2, 8))
    assert outcome.accepted == 13
    assert {(one.series, one.samples, one.verdict) for one in outcome.refusals} == {(label(1), 1, Verdict.settled)}
    assert [time for value, time in store.rows if value == 1] == [3, 4, 5, 6, 7]


@given(st.integers(1, 12), st.integers(1, 6), st.sets(st.integers(0, 11)))
def test_exactly_the_good_ones_arrive(series: int, each: int, refused: set[int]) -> None:
    """With any samples bad, each good sample arrives once and in order, and each bad one is counted once."""
    store = Store(bad(400, *refused))
    outcome = PoisonSampleBisector(store.send).deliver(samples(series, each))
    good = [n for n in range(series) if n not in refused]
    assert sorted(store.rows) == [(n, time) for n in good for time in range(each)]
    assert [[time for value, time in store.rows if value == n] for n in good] == [list(range(each))] * len(good)
    assert outcome.accepted == len(good) * each
    assert sum(one.samples for one in outcome.refusals) == (series - len(good)) * each


def test_known_bad_series_go_apart() -> None:
    """The next batch's good series take one request again; a series that is fixed is back among them."""
    store = Store(bad(400, 3, 77))
    bisector = PoisonSampleBisector(store.send)
    bisector.deliver(samples(100))
    store.requests.clear()
    assert bisector.deliver(samples(100)).accepted == 98
    assert store.requests == [98, 2, 1, 1]
    store.problem = bad(400, 3)
    bisector.deliver(samples(100))
    store.requests.clear()
    bisector.deliver(samples(100))
    assert store.requests == [99, 1]


def test_late_samples_do_not_make_a_series_bad() -> None:
    """A series whose samples came too late is sent with all the others the next time."""
    store = Store(bad(400, 3, body="out of order sample"))
    bisector = PoisonSampleBisector(store.send)
    bisector.deliver(samples(8))
    store.requests.clear()
    bisector.deliver(samples(8))
    assert store.requests[0] == 8


@pytest.mark.parametrize("status", [None, 401, 429, 503])
def test_a_target_that_is_down_says_so(status: int | None) -> None:
    """Nothing is halved, nothing is left out: the whole batch is to be sent again."""
    store = Store(lambda value, time: failure(status))
    with pytest.raises(HttpFailure) as caught:
        PoisonSampleBisector(store.send).deliver(samples(100))
    assert (caught.value.status, store.requests) == (status, [100])


def test_a_target_that_fails_midway() -> None:
    """A connection lost while a bad series is sought is a target that is down."""
    store = Store(lambda value, time: failure(400 if len(store.requests) < 4 else None) if value == 5 else None)
    with pytest.raises(HttpFailure, match="no connection"):
        PoisonSampleBisector(store.send).deliver(samples(100))


def test_a_500_over_one_series_is_its_fault() -> None:
    """Prometheus fails over a duplicate label: when others are accepted, that series is left out."""
    store = Store(bad(500, 42, body="duplicate label"))
    outcome = PoisonSampleBisector(store.send).deliver(samples(100))
    assert (outcome.accepted, [one.series for one in outcome.refusals]) == (99, [label(42)])


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_a_500_over_everything_is_the_targets_fault(count: int) -> None:
    """After some tries all is kept, until it is to be given up."""
    store = Store(lambda value, time: failure(500))
    bisector = PoisonSampleBisector(store.send)
    with pytest.raises(HttpFailure):
        bisector.deliver(samples(count))
    assert len(store.requests) <= 30
    outcome = bisector.deliver(samples(count), give_up=True)
    assert (outcome.accepted, sum(one.samples for one in outcome.refusals)) == (0, count)
    assert len(store.requests) <= 60


def test_too_many_bad_ones_end_the_search() -> None:
    """The search for what is refused has an end; what was not tried is counted as refused, with how many series."""
    store = Store(lambda value, time: failure(400, "bad label"))
    outcome = PoisonSampleBisector(store.send).deliver(samples(5000))
    assert len(store.requests) == 5000
    assert sum(one.samples for one in outcome.refusals) == 5000
    assert outcome.refusals[-1].more > 1000


class Prometheus(Store):
    """Refuses anything that is older than a series' newest sample."""

    def __init__(self) -> None:
        super().__init__(self.late)

    def late(self, value: float, time: int) -> HttpFailure | None:
        newest = max((at for series, at in self.rows if series == value), default=-1)
        return failure(400, "out of order sample") if time < newest else None


def test_a_lost_answer_does_not_make_it_search() -> None:
    """Samples that an earlier try stored are refused when they come again: some questions settle all of them."""
    store = Prometheus()
    PoisonSampleBisector(store.send).deliver(samples(200, 5))
    store.requests.clear()
    outcome = PoisonSampleBisector(store.send).deliver(samples(200, 5), again=True)
    assert len(store.requests) <= 65
    assert (outcome.accepted, sum(one.samples for one in outcome.refusals)) == (0, 1000)
    assert outcome.refusals[0].verdict is Verdict.settled


def test_what_is_left_of_a_try_that_was_cut_short_is_searched() -> None:
    """If the connection is lost in the middle of a search, what was not sent yet is found at the next try."""
    store = Prometheus()
    late = store.problem
    bisector = PoisonSampleBisector(store.send)
    bisector.deliver(samples(1, 5))
    store.problem = lambda value, time: failure(None) if value == 199 and len(store.requests) > 9 else late(value, time)
    with pytest.raises(HttpFailure):
        bisector.deliver(samples(200, 5))
    assert 500 < len(store.rows) < 1005
    store.problem = late
    bisector.deliver(samples(200, 5), again=True)
    assert set(store.rows) == {(n, time) for n in range(200) for time in range(5)}


@pytest.mark.parametrize("stored", [0, 1, 150])
def test_a_lost_request_is_searched(stored: int) -> None:
    """If only some of the series are refused, the others are written whole, no matter what was sent before."""
    store = Prometheus()
    PoisonSampleBisector(store.send).deliver(samples(stored, 5))
    outcome = PoisonSampleBisector(store.send).deliver(samples(200, 5), again=True)
    assert set(store.rows) == {(n, time) for n in range(200) for time in range(5)}
    assert sum(one.samples for one in outcome.refusals) == stored * 4
