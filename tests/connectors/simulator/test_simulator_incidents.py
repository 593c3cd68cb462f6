"""The simulator's ground truth agrees with what its incidents do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_connectors.simulator import SimulatorConfig, SimulatorReader
from tsdiff_connectors.simulator.fleet import METRICS
from tsdiff_monitor.plugins import Context, LabelledSpan, Query, ReadRequest

MINUTE = pd.Timedelta("1min")
REPLAY = pd.Timestamp("2026-01-19T00:00:00Z")
AT, UNTIL = REPLAY + 600 * MINUTE, REPLAY + 650 * MINUTE
SPAN = slice(600, 650)
SERVICES = ("gateway", "inventory", "orders", "payments")


def reader(**config: Any) -> SimulatorReader:
    """A reader with these configuration keys."""
    return SimulatorReader(SimulatorConfig.model_validate(config), Context())


def day(
    groupby: tuple[str, ...] = ("service",), offset: int = 0, step: pd.Timedelta = MINUTE, expr: str = "*"
) -> ReadRequest:
    """A day of every metric, ``offset`` days after the start of the replayed span."""
    start = REPLAY + pd.Timedelta(days=offset)
    return ReadRequest((Query("all", expr),), start, start + pd.Timedelta(days=1), step, groupby)


def one(kind: str, service: str, **keys: Any) -> SimulatorReader:
    """A reader whose only incident lasts from 10:00 to 10:50."""
    return reader(incidents=[{"kind": kind, "service": service, "after": "10h", "lasts": "50m", **keys}])


def tables(sim: SimulatorReader) -> dict[str, np.ndarray]:
    """The replayed day of every service, ``[1440, 15]`` each."""
    return {group[0][1]: frame.values.astype(float) for group, frame in sim.read(day()).frames.items()}


def truth(sim: SimulatorReader) -> dict[str, LabelledSpan]:
    """The incident entries of the replayed day by service."""
    return {incident.group[0][1]: incident for incident in sim.incidents(day())}


@pytest.fixture(scope="module")
def quiet() -> dict[str, np.ndarray]:
    """The replayed day without incidents."""
    return tables(reader(incidents=[]))


# kind, service, the metrics it must move most clearly at its source and in which direction, the services it reaches
KINDS = [
    ("memory_leak", "orders", {"memory_mb": 1, "gc_pause_ms": 1}, {"orders"}),
    ("cpu_saturation", "payments", {"cpu_percent": 1, "load_1": 1}, {"payments", "gateway"}),
    (
        "slow_dependency",
        "inventory",
        {"latency_p50_ms": 1, "latency_p95_ms": 1, "latency_p99_ms": 1},
        {"inventory", "orders", "gateway"},
    ),
    ("error_burst", "orders", {"error_ratio": 1}, {"orders", "gateway"}),
    ("traffic_drop", "gateway", {"requests_per_second": -1}, set(SERVICES)),
    (
        "network_loss",
        "payments",
        {"retransmits_per_second": 1, "network_in_mbps": -1, "network_out_mbps": -1},
        {"payments", "gateway"},
    ),
    ("noisy_neighbour", "inventory", {"cpu_percent": 1, "load_1": 1}, {"inventory", "orders"}),
]


@pytest.mark.parametrize(("kind", "service", "moves", "reached"), KINDS, ids=[kind for kind, *_ in KINDS])
def test_each_kind_moves_its_culprits(
    quiet: dict[str, np.ndarray], kind: str, service: str, moves: dict[str, int], reached: set[str]
) -> None:
    """The culprits are the metrics that move, clearly and the right way, and the services reached are all listed."""
    sim = one(kind, service)
    moved, found = tables(sim), truth(sim)
    assert set(found[service].culprits) == set(moves)
    assert reached <= set(found)
    for name, sign in moves.items():
        k = METRICS.index(name)
        change = sign * np.median((moved[service] - quiet[service])[SPAN, k])
        assert change > 2 * quiet[service][540:710, k].std(), name
    for incident in found.values():
        assert (incident.kind, incident.start, incident.end) == (kind, AT, UNTIL)


@pytest.mark.parametrize(("kind", "service"), [(kind, service) for kind, service, *_ in KINDS])
def test_outside_an_incident_nothing_differs(quiet: dict[str, np.ndarray], kind: str, service: str) -> None:
    """Before its start and from its end on every value is what it would have been without it."""
    moved = tables(one(kind, service))
    for name, values in moved.items():
        outside = np.delete(values != quiet[name], SPAN, axis=0)
        assert not outside.any()
        assert (values > 0).all()


def test_requests_are_spared_by_trouble_inside_a_service(quiet: dict[str, np.ndarray]) -> None:
    """A noisy neighbour, a leak and a slow dependency raise CPU, memory or latency at the same requests."""
    k = METRICS.index("requests_per_second")
    for kind in ("noisy_neighbour", "memory_leak", "slow_dependency", "cpu_saturation", "error_burst"):
        assert np.array_equal(tables(one(kind, "orders"))["orders"][:, k], quiet["orders"][:, k])


def test_a_slow_dependency_fills_connections_upstream(quiet: dict[str, np.ndarray]) -> None:
    """Latency below raises latency and, by Little's law, the connections of the callers; others stay as they were."""
    moved = tables(one("slow_dependency", "inventory"))
    for name in ("orders", "gateway"):
        ratio = (moved[name] / quiet[name])[605:645].mean(axis=0)
        assert ratio[METRICS.index("latency_p95_ms")] > 1.3
        assert ratio[METRICS.index("connections")] > 1.2
    assert np.array_equal(moved["payments"], quiet["payments"])


def test_severity_scales_the_effect(quiet: dict[str, np.ndarray]) -> None:
    """Twice the severity is about twice the errors, and half of it half."""
    k = METRICS.index("error_ratio")
    rise = [
        np.median((tables(one("error_burst", "payments", severity=s))["payments"] - quiet["payments"])[SPAN, k])
        for s in (0.5, 1.0, 2.0)
    ]
    np.testing.assert_allclose(rise, rise[1] * np.array([0.5, 1, 2]), rtol=0.05)


@pytest.mark.parametrize("kind", [kind for kind, *_ in KINDS])
def test_the_strongest_incident_stays_physical(kind: str) -> None:
    """At the greatest severity ratios, percentages and signs still hold."""
    for values in tables(one(kind, "gateway", severity=3)).values():
        assert np.isfinite(values).all() and (values >= 0).all()
        assert values[:, METRICS.index("cpu_percent")].max() <= 100
        assert values[:, METRICS.index("error_ratio")].max() <= 1


def test_a_flat_metric_keeps_its_first_value(quiet: dict[str, np.ndarray]) -> None:
    """The metric freezes at its value at the start; nothing else changes, and only its service is listed."""
    sim = one("flat_metric", "orders", metric="load_1")
    moved, k = tables(sim), METRICS.index("load_1")
    assert (moved["orders"][SPAN, k] == quiet["orders"][600, k]).all()
    assert quiet["orders"][SPAN, k].std() > 0
    moved["orders"][SPAN, k] = quiet["orders"][SPAN, k]
    assert all(np.array_equal(moved[name], quiet[name]) for name in SERVICES)
    assert sim.incidents(day()) == (LabelledSpan((("service", "orders"),), AT, UNTIL, "flat_metric", ("load_1",)),)


def test_only_missing_metrics_are_missing(quiet: dict[str, np.ndarray]) -> None:
    """The metrics named by the pattern are NaN during the incident, and no other cell is."""
    sim = one("missing_metric", "orders", metric="latency_*")
    moved = tables(sim)
    expected = np.zeros((1440, len(METRICS)), dtype=bool)
    expected[SPAN, METRICS.index("latency_p50_ms") : METRICS.index("connections")] = True
    assert np.array_equal(np.isnan(moved["orders"]), expected)
    assert not any(np.isnan(moved[name]).any() for name in SERVICES if name != "orders")
    assert not any(np.isnan(values).any() for values in quiet.values())
    assert truth(sim)["orders"].culprits == ("latency_p50_ms", "latency_p95_ms", "latency_p99_ms")


def test_a_whole_service_may_vanish() -> None:
    """``metric: "*"`` takes every value of the service away, as when it is gone."""
    assert np.isnan(tables(one("missing_metric", "payments", metric="*"))["payments"][SPAN]).all()


def test_the_default_day_holds_six_kinds_in_every_service() -> None:
    """Six kinds, each listed in the group of its own service and every group has some."""
    found = reader().incidents(day())
    assert len({incident.kind for incident in found}) == 6
    assert {incident.group[0][1] for incident in found} == set(SERVICES)
    assert len({(incident.group, incident.kind) for incident in found}) == len(found)


def test_culprits_follow_the_names_of_the_request() -> None:
    """Ungrouped, an incident is listed once with the source's series; a query's name stands for its metric."""
    sim = one("cpu_saturation", "payments")
    (whole,) = sim.incidents(day(groupby=()))
    assert (whole.group, whole.culprits) == ((), ("payments/cpu_percent", "payments/load_1"))
    renamed = ReadRequest((Query("cpu", "cpu_percent"),), REPLAY, REPLAY + pd.Timedelta(days=1), MINUTE, ("service",))
    assert [incident.culprits for incident in sim.incidents(renamed)] == [("cpu",)]
    tiers = {incident.group[0][1]: incident.culprits for incident in sim.incidents(day(groupby=("tier",)))}
    assert tiers["core"] == ("payments/cpu_percent", "payments/load_1")
    assert set(tiers["edge"]) >= {"gateway/latency_p99_ms"}


def test_an_incident_that_the_selection_does_not_show_is_not_listed() -> None:
    """A monitor of disk use alone cannot be asked to find an error burst."""
    assert one("error_burst", "orders").incidents(day(expr="disk_used_percent")) == ()


def test_labels_cover_every_touched_row_of_a_coarser_grid() -> None:
    """With rows of 15 minutes the label starts at the row in which the incident starts, and covers all it touches."""
    sim = reader(incidents=[{"kind": "error_burst", "service": "orders", "after": "10h10m", "lasts": "25m"}])
    asked = day(step=15 * MINUTE)
    (entry,) = (i for i in sim.incidents(asked) if dict(i.group)["service"] == "orders")
    assert (entry.start, entry.end) == (AT, REPLAY + 635 * MINUTE)
    frame = sim.read(asked).frames[entry.group]
    touched = (frame.values != reader(incidents=[]).read(asked).frames[entry.group].values).any(axis=1)
    labelled = (frame.times >= entry.start) & (frame.times < entry.end)
    assert touched.sum() == 3
    assert np.array_equal(touched, labelled)


def test_incidents_are_clipped_to_the_request() -> None:
    """A request that ends amid an incident is given the part within it; one that misses it, nothing."""
    sim = one("error_burst", "payments")
    middle = AT + 10 * MINUTE
    cut = ReadRequest(day().queries, REPLAY, middle, MINUTE, ("service",))
    assert {(i.start, i.end) for i in sim.incidents(cut)} == {(AT, middle)}
    late = ReadRequest(day().queries, UNTIL, UNTIL + MINUTE, MINUTE, ("service",))
    assert sim.incidents(late) == ()


def test_history_and_other_days_are_free_of_incidents() -> None:
    """Before and after the replayed day there are no incidents, and no difference to a fleet without any."""
    sim, without = reader(), reader(incidents=[])
    for offset in (-14, -1, 1, 300):
        assert sim.incidents(day(offset=offset)) == ()
        for group, frame in sim.read(day(offset=offset)).frames.items():
            assert np.array_equal(frame.values, without.read(day(offset=offset)).frames[group].values)


def test_a_repeated_schedule_goes_on_for_ever() -> None:
    """With ``repeat_every`` the same incidents come again, in data and labels, but never in the history."""
    sim = reader(repeat_every="1d")
    first = [(i.group, i.kind, i.start) for i in sim.incidents(day())]
    later = [(i.group, i.kind, i.start - pd.Timedelta(days=100)) for i in sim.incidents(day(offset=100))]
    own = {(kind, start) for _, kind, start in first}
    assert {(kind, start) for _, kind, start in later} == own
    assert sim.incidents(day(offset=-1)) == ()
    week = ReadRequest(day().queries, REPLAY, REPLAY + pd.Timedelta(days=7), MINUTE, ("service",))
    assert len({i.start for i in sim.incidents(week)}) == 7 * 6


def test_incidents_of_one_service_add_up(quiet: dict[str, np.ndarray]) -> None:
    """Overlapping incidents act together."""
    both = reader(
        incidents=[
            {"kind": "error_burst", "service": "payments", "after": "10h", "lasts": "50m"},
            {"kind": "memory_leak", "service": "payments", "after": "10h10m", "lasts": "40m"},
        ]
    )
    ratio = (tables(both)["payments"] / quiet["payments"])[640]
    assert ratio[METRICS.index("error_ratio")] > 10
    assert ratio[METRICS.index("memory_mb")] > 1.5
