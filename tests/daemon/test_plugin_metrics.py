"""The numbers that plug-ins count of themselves."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, generate_latest

from tsdiff_monitor.daemon.plugin_metrics import PluginMetrics


class Counting:
    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers

    def stats(self) -> Mapping[str, float]:
        return self.numbers


class Failing:
    def stats(self) -> Mapping[str, float]:
        raise OSError("disk gone")


def exported(**plugins: object) -> list[str]:
    registry = CollectorRegistry()
    registry.register(PluginMetrics("writer", plugins))
    return generate_latest(registry).decode().splitlines()


def test_numbers_are_exported_by_plugin() -> None:
    """Totals as counters, others as gauges, each with the name that the user gave."""
    lines = exported(a=Counting(rows_total=3, queue_bytes=7), b=Counting(rows_total=1))
    assert "# TYPE tsdiff_writer_rows_total counter" in lines
    assert "# TYPE tsdiff_writer_queue_bytes gauge" in lines
    assert {'tsdiff_writer_rows_total{writer="a"} 3.0', 'tsdiff_writer_rows_total{writer="b"} 1.0'} <= set(lines)
    assert 'tsdiff_writer_queue_bytes{writer="a"} 7.0' in lines


def test_a_plugin_that_fails_costs_no_one_else_the_scrape() -> None:
    """One without numbers, and one whose numbers cannot be had, are left out."""
    lines = exported(bad=Failing(), silent=object(), good=Counting(rows_total=2))
    assert [line for line in lines if not line.startswith("#")] == ['tsdiff_writer_rows_total{writer="good"} 2.0']
