"""Features of events, worked out by real databases, against the same worked out by pandas."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.connectors.sql.sql_events import DATABASES, HOUR, MINUTE, Store, new_store, only, request, seconds
from tsdiff_connectors.sql import SqlReader
from tsdiff_monitor.plugins import ReadRequest
from tsdiff_monitor.testing import ReaderConformance

COLUMNS = {"t": sa.BigInteger, "shop": sa.Integer, "card": sa.Text, "amount": sa.Double, "status": sa.Text}
QUERIES = {
    "n": "count",
    "declined": "count where status = 'declined'",
    "total": "sum(amount)",
    "mean": "mean(amount) where not status = 'ok'",
    "largest": "max(amount)",
    "smallest": "min(amount) where amount > 2 or status is null",
    "p95": "p95(amount)",
    "median": "p50(amount) where status in ('ok', 'declined')",
    "cards": "distinct(card)",
    "share": "share(amount >= 5 and status != 'ok')",
    "since": "seconds_since_last where status = 'declined'",
}
ROWS, LOOKBACK = 6, 3


@pytest.fixture(params=DATABASES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with new_store(request.param, request, tmp_path) as found:
        yield found


def expected(events: pd.DataFrame, shop: int) -> pd.DataFrame:
    """The features of one group, an interval at a time."""
    found = []
    mine = events[events["shop"] == shop]
    for row in range(ROWS):
        end = seconds(row + 1)
        here = mine[(mine["t"] >= end - 60) & (mine["t"] < end)]
        amount, status = here["amount"], here["status"]
        known = status.notna()
        remembered = mine[(mine["t"] >= end - 60 * LOOKBACK) & (mine["t"] < end)]
        declined = remembered.loc[remembered["status"] == "declined", "t"]
        values = {
            "n": len(here),
            "declined": (status == "declined").sum(),
            "total": amount.sum(),
            "mean": amount[known & (status != "ok")].mean(),
            "largest": amount.max(),
            "smallest": amount[(amount > 2) | ~known].min(),
            "p95": amount.quantile(0.95),
            "median": amount[status.isin(["ok", "declined"])].quantile(0.5),
            "cards": here["card"].nunique(),
            "share": ((amount >= 5) & known & (status != "ok")).mean() if len(here) else np.nan,
            "since": end - declined.max() if len(declined) else np.nan,
        }
        found.append(values if len(remembered) else dict.fromkeys(values, np.nan))
    return pd.DataFrame(found)


EVENT = st.tuples(
    st.integers(-60 * (LOOKBACK + 1), 60 * (ROWS + 1)),
    st.integers(1, 3),
    st.sampled_from(["x", "y", "z", None]),
    st.one_of(st.none(), st.integers(0, 40).map(lambda n: n / 4)),
    st.sampled_from(["ok", "declined", None]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(EVENT, max_size=40))
def test_features_are_those_of_pandas(store: Store, events: list[tuple[Any, ...]]) -> None:
    """Every function, with and without a condition, over events with gaps, ties and NULLs in any place."""
    rows = [dict(zip(COLUMNS, (seconds(0) + event[0], *event[1:]), strict=True)) for event in events]
    if store.has("events"):
        store.run("DELETE FROM events")
        store.add(rows)
    else:
        store.make(COLUMNS, rows)
    asked = request(ROWS, ("shop",), **QUERIES)
    frames = store.reader(lookback=LOOKBACK * MINUTE.to_pytimedelta()).read(asked).frames
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"amount": float})
    for shop in (1, 2, 3):
        wanted = expected(table, shop)
        frame = frames.get((("shop", str(shop)),))
        got = pd.DataFrame(index=range(ROWS)) if frame is None else frame.to_pandas().reset_index(drop=True)
        pd.testing.assert_frame_equal(
            got.reindex(columns=list(QUERIES)).astype(float), wanted.astype(float), check_dtype=False, rtol=1e-5
        )


class TestConformance(ReaderConformance):
    """The promises of every reader, kept in both databases."""

    secrets = ("pg-password",)

    @pytest.fixture(autouse=True)
    def _events(self, store: Store, tmp_path: Path) -> None:
        self.store = store
        rng = np.random.default_rng(0)
        rows = [
            {"t": seconds(at), "shop": shop, "card": "x", "amount": float(amount), "status": "ok"}
            for at, shop, amount in zip(
                rng.uniform(-5, 15, 60), rng.integers(1, 4, 60), rng.gamma(2, 9, 60), strict=True
            )
        ]
        store.make(COLUMNS, rows)
        missing = tmp_path / "none.sqlite"
        self.down = f"sqlite:///{missing}" if store.is_sqlite else "postgresql://u:pg-password@127.0.0.1:1/none"

    def make(self) -> SqlReader:
        return self.store.reader()

    def request(self) -> ReadRequest:
        return request(10, ("shop", "card"), **QUERIES)

    def broken(self) -> SqlReader:
        return self.store.reader(url=self.down)


def test_a_group_seen_before_stays_with_zeros(store: Store) -> None:
    """Until `lookback` after its last event a group has counts of 0 and no means; before its first it has nothing."""
    store.make(COLUMNS, [{"t": seconds(2.5), "shop": 1, "amount": 3.0}])
    source = store.reader(lookback="3m")
    asked = request(8, ("shop",), n="count", mean="mean(amount)", since="seconds_since_last")
    frame = source.read(asked).frames[(("shop", "1"),)]
    np.testing.assert_array_equal(frame.values[:, 0], [np.nan, np.nan, 1, 0, 0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(frame.values[:, 1], [np.nan, np.nan, 3] + 5 * [np.nan])
    np.testing.assert_array_equal(frame.values[:, 2], [np.nan, np.nan, 30, 90, 150, np.nan, np.nan, np.nan])
    later = source.read(request(1, ("shop",), first=4, n="count", mean="mean(amount)")).frames
    assert later[(("shop", "1"),)].names == ("n",), "a mean without any event is no series"
    assert not source.read(request(1, ("shop",), first=5, n="count")).frames


def test_features_by_arrival_count_when_an_event_became_known(store: Store) -> None:
    """A report that arrives minutes later counts in the interval of its arrival, in the group of its event."""
    columns = {**COLUMNS, "reported": sa.BigInteger}
    store.make(
        columns,
        [
            {"t": seconds(0.5), "shop": 1, "amount": 9.0, "reported": seconds(3.2)},
            {"t": seconds(1.5), "shop": 1, "amount": 5.0, "reported": None},
            {"t": seconds(2.5), "shop": 1, "amount": 7.0, "reported": seconds(3.9)},
        ],
    )
    asked = request(5, n="count", reports="count by arrival", lost="sum(amount) by arrival")
    frame = only(store.reader(arrival="reported").read(asked).frames)
    np.testing.assert_array_equal(frame.values, [[1, 0, 0], [1, 0, 0], [1, 0, 0], [0, 2, 16], [0, 0, 0]])


def test_events_without_a_key_or_time_belong_nowhere(store: Store) -> None:
    """NULL is no group; an event without a time counts nowhere."""
    rows = [{"t": seconds(1), "shop": 1}, {"t": seconds(1), "shop": None}, {"t": None, "shop": 1}]
    store.make(COLUMNS, rows)
    frames = store.reader().read(request(3, ("shop",), n="count")).frames
    assert list(frames) == [(("shop", "1"),)]
    np.testing.assert_array_equal(frames[(("shop", "1"),)].values[:, 0], [np.nan, 1, 0])


def test_where_chooses_the_events_of_all_features(store: Store) -> None:
    """An event that the reader's `where` leaves out neither counts nor makes a group."""
    rows = [{"t": seconds(1), "shop": 1, "status": "ok"}, {"t": seconds(1), "shop": 2, "status": "test"}]
    store.make(COLUMNS, rows)
    frames = store.reader(where="not status = 'test'").read(request(3, ("shop",), n="count")).frames
    assert list(frames) == [(("shop", "1"),)]


def test_whole_numbers_do_not_overflow(store: Store) -> None:
    """Sums and means of large whole numbers and decimals are taken in double precision."""
    store.make(
        {"t": sa.BigInteger, "big": sa.BigInteger, "price": sa.Numeric(20, 2)},
        [{"t": seconds(0), "big": 2**62, "price": 1}, {"t": seconds(0.1), "big": 2**62, "price": 2}],
    )
    frame = only(store.reader().read(request(1, total="sum(big)", mean="mean(price)", p75="p75(price)")).frames)
    np.testing.assert_allclose(frame.values, [[2.0**63, 1.5, 1.75]])


def test_extents_split_the_span_of_the_events(store: Store) -> None:
    """The oldest `fit_fraction` is to fit on, the rest to score, for each group alike; none in an empty table."""
    store.make(COLUMNS)
    source = store.reader(fit_fraction=0.75)
    assert source.extents(("shop",)) == {}
    store.add([{"t": seconds(0), "shop": 1}, {"t": seconds(60), "shop": 2}, {"t": seconds(80), "shop": 1}])
    extents = source.extents(("shop",))
    assert sorted(extents) == [(("shop", "1"),), (("shop", "2"),)]
    found = extents[(("shop", "2"),)]
    assert found.fit_start == HOUR
    assert found.start == found.fit_end
    assert abs(found.start - (HOUR + 60 * MINUTE)) < pd.Timedelta("5s")
    assert HOUR + 80 * MINUTE < found.end < HOUR + 81 * MINUTE
    assert list(source.extents(())) == [()]
