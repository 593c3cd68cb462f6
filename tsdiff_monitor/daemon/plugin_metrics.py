"""Counters of plug-ins as metrics: ``tsdiff_<kind>_<name of the number>``, by the plug-in's name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tsdiff_monitor.plugins import Measured

__all__ = ["PluginMetrics"]


class PluginMetrics(Collector):
    """A collector over the ``stats`` of plug-ins; ``kind`` is ``reader``, ``writer`` or ``notifier``."""

    def __init__(self, kind: str, plugins: Mapping[str, object]) -> None:
        self._kind = kind
        self._measured = {name: plugin for name, plugin in plugins.items() if isinstance(plugin, Measured)}

    def collect(self) -> Iterator[Metric]:
        """The numbers as they are now; one plug-in that fails does not cost the others theirs."""
        families: dict[str, Metric] = {}
        for name, plugin in self._measured.items():
            for key, value in self._stats(plugin).items():
                if key not in families:
                    family = CounterMetricFamily if key.endswith("_total") else GaugeMetricFamily
                    said = f"A number kept by each {self._kind} that has it."
                    families[key] = family(f"tsdiff_{self._kind}_{key}", said, labels=[self._kind])
                families[key].add_sample(f"tsdiff_{self._kind}_{key}", {self._kind: name}, value)
        yield from families.values()

    def _stats(self, plugin: Measured) -> Mapping[str, float]:
        try:
            return plugin.stats()
        except Exception:  # a scrape must not fail for a stranger's plug-in
            return {}
