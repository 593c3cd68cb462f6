"""Selection of a request: which metrics of which services, in which groups, under which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from tsdiff_connectors.simulator.fleet import METRICS, Fleet, Service
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query
from tsdiff_monitor.timeseries.frame import Group, Series

__all__ = ["LABELS", "Column", "select"]

LABELS = ("service", "instance", "tier")
"""The labels of every series."""


@dataclass(frozen=True)
class Column:
    """One selected series: ``service`` is a number into the fleet."""

    service: int
    metric: str
    series: Series


def select(fleet: Fleet, queries: Sequence[Query], groupby: Sequence[str]) -> dict[Group, tuple[Column, ...]]:
    """The columns of each group. Raises :class:`SourceError` for a query or a label that fits nothing.

    A metric that several queries select belongs to the first. A series bears the name of its query when the query
    names one metric, else the metric's name; ``service/`` stands before it when groups may hold several services.
    """
    unknown = [label for label in groupby if label not in LABELS]
    if unknown:
        raise _bad_query(f"groupby: there is no label {', '.join(unknown)}; the labels are {', '.join(LABELS)}")
    apart = "service" in groupby or "instance" in groupby
    taken: set[tuple[int, str]] = set()
    groups: dict[Group, list[Column]] = {}
    for query in queries:
        services, metrics = _parse(fleet, query)
        named = query.expr.rpartition(":")[2] in METRICS
        for s in services:
            service = fleet.services[s]
            labels = _labels(service)
            group = tuple(sorted((label, labels[label]) for label in groupby))
            for metric in metrics:
                if (s, metric) in taken:
                    continue
                taken.add((s, metric))
                name = query.name if named else metric
                series = Series(name if apart else f"{service.name}/{name}", labels, query.name)
                groups.setdefault(group, []).append(Column(s, metric, series))
    for group_columns in groups.values():
        names = [column.series.name for column in group_columns]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise _bad_query(f"two queries yield a series named {', '.join(twice)}; rename one of the queries")
    return {group: tuple(columns) for group, columns in sorted(groups.items())}


def _parse(fleet: Fleet, query: Query) -> tuple[list[int], list[str]]:
    wanted, _, pattern = query.expr.strip().rpartition(":")
    services = [s for s, name in enumerate(fleet.names) if fnmatchcase(name, wanted or "*")]
    metrics = [name for name in METRICS if fnmatchcase(name, pattern)]
    if not services:
        raise _bad_query(
            f"query {query.name!r}: {wanted!r} matches no service; the services are {', '.join(fleet.names)}"
        )
    if not metrics:
        raise _bad_query(
            f"query {query.name!r}: {pattern!r} matches no metric; write a metric, a pattern such as latency_*, or "
            f"service:metric; the metrics are {', '.join(METRICS)}"
        )
    return services, metrics


def _labels(service: Service) -> dict[str, str]:
    return {"service": service.name, "instance": service.instance, "tier": service.tier}


def _bad_query(message: str) -> SourceError:
    return SourceError(f"simulator: {message}", reason="bad_query", recoverable=False)
