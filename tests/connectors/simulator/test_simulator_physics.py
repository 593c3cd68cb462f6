"""The simulated fleet behaves like one: load, queues, Little's law, seasons, and nothing new on a normal day."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.simulator import SimulatorConfig, SimulatorReader
from tsdiff_connectors.simulator.noise import DAY, MINUTE, Noise
from tsdiff_connectors.simulator.physics import waiting_factor
from tsdiff_connectors.simulator.season import season, served
from tsdiff_monitor.plugins import Context, Query, ReadRequest

START = pd.Timestamp("2026-01-05T00:00:00Z")
SERVICES = ("gateway", "inventory", "orders", "payments")


@pytest.fixture(scope="module")
def quiet() -> dict[str, pd.DataFrame]:
    """Three weeks without incidents, a table per service."""
    sim = SimulatorReader(SimulatorConfig(incidents=()), Context())
    step = pd.Timedelta("1min")
    asked = ReadRequest((Query("all", "*"),), START, START + pd.Timedelta(days=21), step, ("service",))
    return {dict(group)["service"]: frame.to_pandas() for group, frame in sim.read(asked).frames.items()}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 64))
def test_waiting_rises_with_utilisation(a: float, b: float, cores: int) -> None:
    """More load never shortens the queue, and more cores never lengthen it."""
    low, high = waiting_factor(np.array(sorted((a, b))), np.array(float(cores)))
    assert 0 <= low <= high < 50
    assert waiting_factor(np.array(b), np.array(cores + 1.0)) <= waiting_factor(np.array(b), np.array(float(cores)))


def test_one_core_waits_as_in_an_mm1_queue() -> None:
    """With one server the approximation is exact: u / (1 - u)."""
    u = np.array([0.1, 0.5, 0.9])
    np.testing.assert_allclose(waiting_factor(u, np.array(1.0)), u / (1 - u))


def test_noise_is_standard_normal_and_remembers() -> None:
    """White noise has no memory, wander has; both have mean 0 and variance 1, and streams are independent."""
    noise = Noise(3, ("a", "b"), np.arange(200_000, dtype=np.int64) * MINUTE, MINUTE)
    white, wander = noise.white("x"), noise.wander("y", ((8 * MINUTE, 1.0),))
    for field in (white, wander):
        np.testing.assert_allclose(field.mean(axis=0), 0, atol=0.03)
        np.testing.assert_allclose(field.std(axis=0), 1, atol=0.03)
        assert abs(np.corrcoef(field.T)[0, 1]) < 0.05
    assert abs(np.corrcoef(white[1:, 0], white[:-1, 0])[0, 1]) < 0.01
    assert np.corrcoef(wander[1:, 0], wander[:-1, 0])[0, 1] > 0.9
    assert abs(np.corrcoef(noise.white("x")[:, 0], noise.white("z")[:, 0])[0, 1]) < 0.01


def test_blips_are_bounded_and_as_frequent_as_said() -> None:
    """Bumps lie in 0..1 and occur in about the given share of the spans."""
    noise = Noise(3, ("a",), np.arange(100 * 1440, dtype=np.int64) * MINUTE, MINUTE)
    bumps = noise.blips("x", every=DAY, chance=0.5, shortest=5 * MINUTE, longest=9 * MINUTE)[:, 0]
    assert bumps.min() == 0 and 0.4 < bumps.max() <= 1
    assert 35 <= (bumps.reshape(100, 1440).max(axis=1) > 0).sum() <= 65


def test_served_is_the_integral_of_the_season() -> None:
    """The count of what was served grows by the season's load, across weeks too, and by seven mean days a week."""
    time_ms = START.as_unit("ns").value // 1_000_000 + np.arange(-2 * 1440, 9 * 1440, dtype=np.int64) * MINUTE
    load, total = season(time_ms), served(time_ms)
    steps = (load[1:] + load[:-1]) / 2 * (MINUTE / DAY)
    np.testing.assert_allclose(np.diff(total), steps, rtol=1e-6)
    assert served(time_ms + 7 * DAY) - total == pytest.approx(7)
    assert season(time_ms[: 7 * 1440]).mean() == pytest.approx(1, rel=1e-3)


def test_values_lie_in_their_physical_range(quiet: dict[str, pd.DataFrame]) -> None:
    """Nothing is negative or missing, percentages and ratios keep to their scale, quantiles to their order."""
    for table in quiet.values():
        assert (table > 0).all(axis=None)
        assert (table[["cpu_percent", "disk_used_percent"]] <= 100).all(axis=None)
        assert (table["error_ratio"] < 0.03).all()
        assert (table["latency_p50_ms"] < table["latency_p95_ms"]).all()
        assert (table["latency_p95_ms"] < table["latency_p99_ms"]).all()
        assert table["cpu_percent"].between(10, 90).all()


@pytest.mark.parametrize("name", SERVICES)
def test_work_follows_requests(quiet: dict[str, pd.DataFrame], name: str) -> None:
    """CPU, network, disk operations and connections go with the requests."""
    table = quiet[name]
    for metric in ("cpu_percent", "load_1", "network_in_mbps", "network_out_mbps", "disk_io_ops", "connections"):
        assert table["requests_per_second"].corr(table[metric]) > 0.8, metric


def test_load_flows_down_the_call_graph(quiet: dict[str, pd.DataFrame]) -> None:
    """A callee's requests go with its caller's."""
    gateway, orders, inventory = (quiet[name]["requests_per_second"] for name in ("gateway", "orders", "inventory"))
    assert gateway.corr(orders) > 0.9
    assert orders.corr(inventory) > 0.9
    assert (orders / gateway).median() == pytest.approx(0.35, rel=0.1)


def test_littles_law_holds(quiet: dict[str, pd.DataFrame]) -> None:
    """Connections in use are requests times latency; idle ones of the pools come on top."""
    for table in quiet.values():
        in_flight = table["requests_per_second"] * table["latency_p50_ms"] / 1000
        idle_and_slope = np.polyfit(in_flight, table["connections"], 1)
        assert np.corrcoef(in_flight, table["connections"])[0, 1] > 0.95
        assert 1.0 < idle_and_slope[0] < 3.0  # the mean latency exceeds the median, and pools hold spares
        assert 4.0 < idle_and_slope[1] < 12.0


def test_days_and_weeks_repeat(quiet: dict[str, pd.DataFrame]) -> None:
    """The load resembles itself a day and, more so, a week later; half a day later it does not."""
    requests = quiet["gateway"]["requests_per_second"]
    half_day, day, week = (requests.autocorr(lag) for lag in (720, 1440, 7 * 1440))
    assert half_day < -0.5 < 0.7 < day < week
    weekend = requests.index.dayofweek >= 5
    assert requests[weekend].mean() < 0.9 * requests[~weekend].mean()


def test_memory_is_a_saw_tooth_that_collections_cut(quiet: dict[str, pd.DataFrame]) -> None:
    """Memory falls sharply some thirty times a day, and the pauses are long when it does."""
    table = quiet["orders"]
    falls = table["memory_mb"].diff() < -200
    assert 20 * 21 < falls.sum() < 45 * 21
    assert table["gc_pause_ms"][falls].median() > 1.5 * table["gc_pause_ms"].median()


def test_disks_fill_and_are_cleaned_daily(quiet: dict[str, pd.DataFrame]) -> None:
    """Disk use rises over each day and is back where it was after the clean-up."""
    disk = quiet["payments"]["disk_used_percent"]
    mornings, nights = disk[disk.index.hour == 4].iloc[::60], disk[disk.index.hour == 23].iloc[::60]
    assert (nights.to_numpy() > mornings.to_numpy() + 2).all()
    assert mornings.std() < 0.5


def test_a_normal_day_brings_nothing_new(quiet: dict[str, pd.DataFrame]) -> None:
    """Days after the fourteenth stay within what the history showed, in level and in change."""
    history, after = slice(0, 14 * 1440), slice(14 * 1440, None)
    for name, table in quiet.items():
        for values in (table, np.log(table).diff().abs().fillna(0)):
            spread = values.iloc[history].max() - values.iloc[history].min()
            novel = (values.iloc[after] > values.iloc[history].max() + 0.15 * spread) | (
                values.iloc[after] < values.iloc[history].min() - 0.15 * spread
            )
            assert novel.sum().max() <= 1, (name, novel.sum().idxmax())
