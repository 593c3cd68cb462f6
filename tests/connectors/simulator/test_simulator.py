"""The simulator as a reader: exact random access, groups and names, spans, and its configuration."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from tsdiff_connectors.simulator import ScheduledIncident, SimulatorConfig, SimulatorReader
from tsdiff_connectors.simulator.fleet import METRICS, SERVICES, Fleet
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Context, Extent, Query, Reading, ReadRequest, load_plugin
from tsdiff_monitor.testing import ReaderConformance
from tsdiff_monitor.timeseries.frame import Frame, Group

MINUTE = pd.Timedelta("1min")
REPLAY = pd.Timestamp("2026-01-19T00:00:00Z")
ALL = (Query("all", "*"),)


def reader(**config: Any) -> SimulatorReader:
    """A reader with these configuration keys."""
    return SimulatorReader(SimulatorConfig.model_validate(config), Context(name="fleet"))


def request(
    start: pd.Timestamp = REPLAY,
    rows: int = 60,
    step: pd.Timedelta = MINUTE,
    groupby: tuple[str, ...] = ("service",),
    **queries: str,
) -> ReadRequest:
    """``rows`` rows from ``start`` on."""
    asked = tuple(Query(name, expr) for name, expr in queries.items()) or ALL
    return ReadRequest(asked, start, start + rows * step, step, groupby)


def service(name: str) -> Group:
    """The group of one service."""
    return (("service", name),)


def equal(a: Reading, b: Reading) -> bool:
    """True if two readings hold the same frames, bit for bit."""
    return list(a.frames) == list(b.frames) and all(
        frame.names == b.frames[group].names and np.array_equal(frame.values, b.frames[group].values, equal_nan=True)
        for group, frame in a.frames.items()
    )


class TestConformance(ReaderConformance):
    """The promises of every reader, kept by the simulator, while metrics freeze and go missing."""

    def make(self) -> SimulatorReader:
        return reader(
            incidents=[
                {"kind": "flat_metric", "service": "orders", "after": "5m", "lasts": "20m"},
                {"kind": "missing_metric", "service": "gateway", "after": "10m", "lasts": "20m", "metric": "latency_*"},
                {"kind": "traffic_drop", "service": "gateway", "after": "40m", "lasts": "3h"},
            ]
        )

    def request(self) -> ReadRequest:
        return request(rows=90, groupby=("service", "tier"), cpu="cpu_percent", rest="*")


def test_the_entry_point_leads_here() -> None:
    """``type: simulator`` in a configuration is this reader."""
    assert load_plugin("readers", "simulator") is SimulatorReader


@settings(max_examples=20, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 400), max_size=4), first=st.integers(-20_000, 30_000), per_row=st.sampled_from([1, 5])
)
def test_any_chunks_give_the_same_values(cuts: list[int], first: int, per_row: int) -> None:
    """Reading in pieces, wherever cut, equals reading at once, bit for bit."""
    sim, step = reader(repeat_every="1d", services=2), MINUTE * per_row
    start = (REPLAY + first * MINUTE).floor(step)
    whole = sim.read(request(start, 400, step)).frames
    edges = sorted({0, 400, *cuts})
    for a, b in pairwise(edges):
        for group, part in sim.read(request(start + a * step, b - a, step)).frames.items():
            assert np.array_equal(part.values, whole[group].values[a:b], equal_nan=True)


def test_a_long_read_equals_single_rows() -> None:
    """Rows on both sides of the reader's internal chunks are what a read of one row gives."""
    sim = reader()
    start = REPLAY - 20_000 * MINUTE
    whole = sim.read(request(start, 21_000)).frames[service("orders")].values
    for row in (0, 1, 16_383, 16_384, 16_385, 20_130, 20_999):
        alone = sim.read(request(start + row * MINUTE, 1)).frames[service("orders")].values
        assert np.array_equal(alone[0], whole[row])


def test_the_seed_decides() -> None:
    """The same seed gives the same values in another reader; another seed gives others in every metric."""
    one, same, other = (reader(seed=seed).read(request()) for seed in (1, 1, 2))
    assert equal(one, same)
    for group, frame in one.frames.items():
        assert not (frame.values == other.frames[group].values).all(axis=0).any()


def test_a_larger_fleet_leaves_the_random_streams_of_a_service_alone() -> None:
    """Randomness belongs to a service by name: services without callees among the new ones keep their disk."""
    small = reader(services=4).read(request(disk="disk_used_percent"))
    large = reader(services=12).read(request(disk="disk_used_percent"))
    assert np.array_equal(small.frames[service("inventory")].values, large.frames[service("inventory")].values)


def test_a_coarser_step_is_the_mean() -> None:
    """A row of five minutes is the mean of its five minutes."""
    fine = reader().read(request(rows=60)).frames[service("gateway")].values.astype(float)
    coarse = reader().read(request(rows=12, step=5 * MINUTE)).frames[service("gateway")].values
    np.testing.assert_allclose(coarse, fine.reshape(12, 5, -1).mean(axis=1), rtol=1e-5)


def test_a_mean_leaves_out_missing_cells() -> None:
    """A row of which some cells are missing is the mean of the others, and missing when all are."""
    gap = {"kind": "missing_metric", "service": "gateway", "after": "3m", "lasts": "7m"}
    values = reader(incidents=[gap]).read(request(rows=3, step=5 * MINUTE, cpu="gateway:cpu_percent"))
    fine = reader(incidents=[]).read(request(rows=3, cpu="gateway:cpu_percent"))
    column = values.frames[service("gateway")].values[:, 0]
    assert column[0] == pytest.approx(fine.frames[service("gateway")].values.mean(), rel=1e-6)
    assert np.isnan(column).tolist() == [False, True, False]


@pytest.mark.parametrize("step", ["30s", "90s"])
def test_a_step_that_does_not_fit_is_refused(step: str) -> None:
    """A step that is no multiple of the fleet's own is an error that a retry will not fix."""
    with pytest.raises(
        SourceError, match=r"is not a multiple of the fleet's own step of 1m; .*reader 'fleet'"
    ) as caught:
        reader().read(request(step=pd.Timedelta(step)))
    assert (caught.value.reason, caught.value.recoverable) == ("bad_step", False)


def test_the_fleets_own_step_may_be_finer() -> None:
    """With ``step: 10s`` rows of ten seconds can be read."""
    frame = reader(step="10s").read(request(rows=12, step=pd.Timedelta("10s"))).frames[service("orders")]
    assert len(frame) == 12 and frame.observed.all()


def names(frame: Frame) -> tuple[str, ...]:
    """The names of a frame's series."""
    return frame.names


def test_groups_and_names() -> None:
    """Series bear the metric's name, or the query's when it names one metric; the service's too where several meet."""
    sim = reader()
    by_service = sim.read(request(cpu="cpu_percent", slow="latency_p9*")).frames
    assert [dict(group)["service"] for group in by_service] == ["gateway", "inventory", "orders", "payments"]
    assert names(by_service[service("orders")]) == ("cpu", "latency_p95_ms", "latency_p99_ms")
    assert by_service[service("orders")].series[0].labels == {
        "service": "orders",
        "instance": "orders-0",
        "tier": "core",
    }

    by_instance = sim.read(request(groupby=("instance",), cpu="gateway:cpu_percent")).frames
    assert {group: frame.names for group, frame in by_instance.items()} == {(("instance", "gateway-0"),): ("cpu",)}

    by_tier = sim.read(request(groupby=("tier",), cpu="cpu_percent")).frames
    assert names(by_tier[(("tier", "core"),)]) == ("orders/cpu", "payments/cpu")

    together = sim.read(request(groupby=(), all="*")).frames
    assert list(together) == [()]
    assert len(together[()].series) == 4 * len(METRICS)
    assert "payments/load_1" in names(together[()])


def test_grouping_changes_no_value() -> None:
    """The same series holds the same values however it is grouped."""
    apart = reader().read(request()).frames[service("payments")].select(["load_1"]).values
    together = reader().read(request(groupby=())).frames[()].select(["payments/load_1"]).values
    assert np.array_equal(apart, together)


def test_a_metric_belongs_to_the_first_query_that_selects_it() -> None:
    """Overlapping queries do not double a metric."""
    frame = reader().read(request(cpu="cpu_percent", all="*")).frames[service("orders")]
    assert len(frame.series) == len(METRICS)
    assert [series.query for series in frame.series if series.name == "cpu"] == ["cpu"]
    assert "cpu_percent" not in frame.names


@pytest.mark.parametrize(
    ("queries", "groupby", "message"),
    [
        ({"x": "cpuu*"}, ("service",), r"query 'x': 'cpuu\*' matches no metric; .*requests_per_second, error_ratio"),
        ({"x": "billing:cpu*"}, ("service",), "query 'x': 'billing' matches no service; the services are gateway"),
        ({"x": "cpu_percent"}, ("host",), "no label host; the labels are service, instance, tier"),
        ({"load_1": "cpu_percent", "all": "*"}, ("service",), "two queries yield a series named load_1"),
    ],
)
def test_a_bad_query_says_what_there_is(queries: dict[str, str], groupby: tuple[str, ...], message: str) -> None:
    """A query or label that fits nothing is an error naming it and what there is; a retry will not fix it."""
    with pytest.raises(SourceError, match=message) as caught:
        reader().read(request(groupby=groupby, **queries))
    assert (caught.value.reason, caught.value.recoverable) == ("bad_query", False)


def test_extents_are_history_then_replay() -> None:
    """The span to fit on is the history, the span to score the replay right after it, for every group."""
    extents = reader(history="7d", replay="12h").extents(("service",))
    turn = pd.Timestamp("2026-01-12T00:00:00Z")
    expected = Extent(turn - pd.Timedelta(days=7), turn, turn, turn + pd.Timedelta("12h"))
    assert extents == {service(name): expected for name in ("gateway", "inventory", "orders", "payments")}
    assert reader().extents(())[()].start == REPLAY


@pytest.mark.parametrize("size", range(1, len(SERVICES) + 1))
def test_every_fleet_carries_load_and_has_a_schedule(size: int) -> None:
    """In a fleet of any size, every service is called by an earlier one or from outside, and the incidents fit."""
    fleet = Fleet(size)
    assert (fleet.nominal_rps > 0).all()
    assert not np.tril(fleet.calls).any()
    assert {one.service for one in SimulatorConfig(services=size).schedule} <= set(fleet.names)


def test_the_default_day_leaves_room_between_incidents() -> None:
    """Six kinds, 25 to 90 minutes long, at least two and a half hours apart, none in a span too short for it."""
    day = SimulatorConfig().schedule
    assert len({one.kind for one in day}) == 6
    assert all(timedelta(minutes=25) <= one.lasts <= timedelta(minutes=90) for one in day)
    gaps = [b.after - a.after - a.lasts for a, b in pairwise(day)]
    assert min(gaps) >= timedelta(hours=2.5)
    assert [one.kind for one in SimulatorConfig(replay=timedelta(hours=8)).schedule] == [
        "memory_leak",
        "cpu_saturation",
    ]


LEAK = {"kind": "memory_leak", "service": "orders", "after": "1h", "lasts": "1h"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"incidents": [{**LEAK, "service": "billing"}]},
            "incidents.0.service: there is no service 'billing'.*gateway",
        ),
        ({"incidents": [{**LEAK, "after": "23h30m"}]}, "ends 1d30m into the replayed span, which is only 1d long"),
        ({"incidents": [{**LEAK, "metric": "load_1"}]}, "metric is only for flat_metric and missing_metric"),
        ({"incidents": [{**LEAK, "kind": "flat_metric", "metric": "lod"}]}, "'lod' matches none of the metrics"),
        ({"incidents": [{**LEAK, "lasts": "0s"}]}, "longer than 0s"),
        ({"incidents": [{**LEAK, "severity": 9}]}, "less than or equal to 3"),
        ({"repeat_every": "6h"}, "6h is shorter than the incidents' schedule"),
        ({"step": "7m"}, "7m does not divide a day"),
        ({"step": "500ms"}, "at least 1s"),
        ({"services": 13}, "less than or equal to 12"),
        ({"start": "2026-01-05T00:00:00"}, "timezone"),
        ({"history": "0s"}, "longer than 0s"),
        ({"sed": 1}, "Extra inputs"),
    ],
)
def test_a_wrong_configuration_is_refused_in_the_users_words(config: dict[str, Any], message: str) -> None:
    """Every mistake is named with what would be right."""
    with pytest.raises(ValidationError, match=message):
        SimulatorConfig.model_validate(config)


def test_metric_patterns_of_an_incident() -> None:
    """``metric`` may be left out, a name or a pattern; other kinds take none away."""
    base = {"service": "orders", "after": "0", "lasts": "1m"}
    assert ScheduledIncident.model_validate({"kind": "flat_metric", **base}).metrics == ("cpu_percent",)
    assert ScheduledIncident.model_validate({"kind": "missing_metric", "metric": "*", **base}).metrics == METRICS
    assert ScheduledIncident.model_validate({"kind": "error_burst", **base}).metrics == ()


def test_an_empty_span_has_no_rows() -> None:
    """Start and end alike give frames without rows, and no incidents."""
    nothing = dataclasses.replace(request(), end=REPLAY)
    assert all(len(frame) == 0 for frame in reader().read(nothing).frames.values())
    assert reader().incidents(nothing) == ()
