"""State of the notifiers, read at each scrape; single attempts are counted when they are made."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tsdiff_monitor.delivery.dispatcher import Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.store.store import Store

__all__ = ["DeliveryMetrics"]

_LABELS = ("notifier",)


class DeliveryMetrics(Collector):
    """A collector over the ``notifiers``, named as in the configuration; each is there from the start."""

    def __init__(
        self, store: Store, dispatcher: Dispatcher, resender: AlertResender, notifiers: Collection[str]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._resender = resender
        self._notifiers = notifiers

    def collect(self) -> Iterator[Metric]:
        """The numbers as they are now; without the dead letters where the store cannot be read."""
        dead = GaugeMetricFamily(
            "tsdiff_outbox_dead", "Deliveries given up and kept, to be put back by hand.", labels=_LABELS
        )
        try:  # notifiers that left the configuration have some too
            counts = dict.fromkeys(self._notifiers, 0) | self._store.dead_letters()
        except StoreError:  # a scrape must show the other metrics all the same
            counts = {}
        for name, count in counts.items():
            dead.add_metric([name], count)
        yield dead
        circuit = GaugeMetricFamily(
            "tsdiff_delivery_circuit_open",
            "1 from a failed delivery until the notifier takes one, or refuses one for good.",
            labels=_LABELS,
        )
        failing = self._dispatcher.failing()
        for name in self._notifiers:
            circuit.add_metric([name], name in failing)
        yield circuit
        refresh = CounterMetricFamily(
            "tsdiff_delivery_refresh_failures_total",
            "Times that open alerts could not be sent again to a notifier where they lapse.",
            labels=_LABELS,
        )
        for name, count in self._resender.failures.items():
            refresh.add_metric([name], count)
        yield refresh
