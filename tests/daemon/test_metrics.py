"""docs/metrics.md against the code."""

from __future__ import annotations

import random
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from tsdiff_monitor.daemon.delivery_metrics import DeliveryMetrics
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.store.store import Store

_OF_PLUGINS = ("tsdiff_writer_", "tsdiff_notifier_")
DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
_RATES = {"target": 2.0, "promised": 2.0, "observed": 0.5, "seen": 0.5}


def exported(folder: Path) -> dict[str, tuple[str, str, str]]:
    """Name to type, labels and help text, of every metric of the code."""
    metrics = Metrics(CollectorRegistry())
    found = {}
    for metric in vars(metrics).values():
        for family in metric.collect() if hasattr(metric, "describe") else ():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, ", ".join(f"`{label}`" for label in metric._labelnames), family.documentation)
    with Store(folder / "state.sqlite") as store:
        dispatcher, resender = Dispatcher(store, {}, random=random.Random(0)), AlertResender(store, {})
        for family in DeliveryMetrics(store, dispatcher, resender, ()).collect():
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = (family.type, "`notifier`", family.documentation)
    return found


def test_every_metric_is_documented_and_every_documented_one_exists(tmp_path: Path) -> None:
    """The tables list exactly the exported metrics, each with its type, labels and help text."""
    rows = re.findall(r"^\| `(tsdiff_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", DOCUMENT, re.MULTILINE)
    documented = {name: (kind, labels.strip(), meaning.strip()) for name, kind, labels, meaning in rows}
    assert len(rows) == len(documented)
    own = {name: row for name, row in documented.items() if not name.startswith(_OF_PLUGINS)}
    assert own == exported(tmp_path)


def test_the_numbers_of_plugins_are_documented() -> None:
    """All that the shipped ones count of themselves is in the table of plug-ins, totals as counters."""
    from tsdiff_alerts.email import EmailNotifier
    from tsdiff_alerts.slack import SlackNotifier
    from tsdiff_connectors.prometheus import RemoteWriter

    writer = RemoteWriter(RemoteWriter.Config.model_validate({"url": "http://127.0.0.1:9/write"}), Context())
    mail = {"host": "127.0.0.1", "from": "m@example.org", "to": ["a@example.org"]}
    chat = {"token": "xoxb-t", "channel": "C0X"}
    names = [f"tsdiff_writer_{name}" for name in writer.stats()]
    for notifier in (
        EmailNotifier(EmailNotifier.Config.model_validate(mail), Context()),
        SlackNotifier(SlackNotifier.Config.model_validate(chat), Context()),
    ):
        names += [f"tsdiff_notifier_{name}" for name in notifier.stats()]
    writer.close()
    rows = re.findall(rf"^\| `((?:{'|'.join(_OF_PLUGINS)})\w+)` \| (\w+) \|", DOCUMENT, re.MULTILINE)
    assert dict(rows) == {name: "counter" if name.endswith("_total") else "gauge" for name in names}


def test_every_value_of_a_closed_label_is_documented() -> None:
    """Anyone who writes an alert finds all outcomes of ticks, fits and deliveries in the document."""
    from tsdiff_monitor.daemon.metrics import FIT_OUTCOMES

    for outcome in (*FIT_OUTCOMES, "delivered", "failed", "dead", "missed", "still_running"):
        assert f"`{outcome}`" in DOCUMENT


def test_counters_begin_at_zero() -> None:
    """A monitor's first event is an increase that ``rate()`` can see."""
    registry = CollectorRegistry()
    Metrics(registry).watch("hosts", 2.0)
    assert registry.get_sample_value("tsdiff_events_total", {"monitor": "hosts", "change": "opened"}) == 0


def test_alarm_rates_keep_their_former_names() -> None:
    """The allowed and the observed rate are there under their present names and under those of before."""
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    metrics.watch("hosts", 2.0)
    metrics.observed("hosts", 0.5)
    rates = {name: registry.get_sample_value(f"tsdiff_alarms_per_week_{name}", {"monitor": "hosts"}) for name in _RATES}
    assert rates == _RATES


def test_attempts_to_deliver_are_counted() -> None:
    """Each attempt counts by notifier, outcome and reason, and its duration goes into the histogram."""
    registry = CollectorRegistry()
    Metrics(registry).attempted(Attempt("oncall", "failed", "timeout", 2.0, 3.0))
    labels = {"notifier": "oncall", "outcome": "failed", "reason": "timeout"}
    assert registry.get_sample_value("tsdiff_deliveries_total", labels) == 1
    assert registry.get_sample_value("tsdiff_delivery_seconds_sum", {"notifier": "oncall"}) == 2.0
