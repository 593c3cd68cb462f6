"""The fleet: which services there are, who calls whom, and how large each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

__all__ = ["METRICS", "SERVICES", "Fleet", "Service"]

METRICS = (
    "requests_per_second",
    "error_ratio",
    "latency_p50_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "connections",
    "cpu_percent",
    "load_1",
    "memory_mb",
    "gc_pause_ms",
    "disk_used_percent",
    "disk_io_ops",
    "network_in_mbps",
    "network_out_mbps",
    "retransmits_per_second",
)
"""The metrics of every service, in the order of a frame's columns."""


@dataclass(frozen=True)
class Service:
    """One service: ``calls`` is the mean number of calls of another service per request served."""

    name: str
    tier: str
    calls: Mapping[str, float] = field(default_factory=dict)
    outside_rps: float = 0.0
    """Mean requests per second from outside the fleet."""
    cores: int = 8
    peak_utilisation: float = 0.6
    """Utilisation at the weekly peak; it fixes the capacity."""
    service_ms: float = 10.0
    """Mean time of a request inside the service when nothing queues."""
    heap_mb: float = 2048.0
    request_kb: float = 2.0
    response_kb: float = 6.0
    io_per_request: float = 0.3
    """Disk operations per request."""
    gc_cycles: float = 32.0
    """Major garbage collections per day."""
    disk_percent: float = 45.0
    """Disk use just after the daily clean-up."""
    cleanup_hour: float = 1.0
    """Start of the daily clean-up, in hours UTC."""

    @property
    def instance(self) -> str:
        return f"{self.name}-0"


# Callers stand before the services they call, and every service has a caller among those before it,
# so the first n of them are a fleet for every n.
SERVICES = (
    Service(
        "gateway",
        "edge",
        {"orders": 0.35, "payments": 0.15, "search": 0.3, "cart": 0.4, "accounts": 0.25},
        outside_rps=800.0,
        cores=16,
        peak_utilisation=0.55,
        service_ms=6.0,
        heap_mb=3072.0,
        response_kb=14.0,
        io_per_request=0.12,
        gc_cycles=38.0,
        disk_percent=38.0,
        cleanup_hour=0.4,
    ),
    Service(
        "orders",
        "core",
        {"inventory": 1.6, "shipping": 0.2, "notifications": 0.3},
        service_ms=14.0,
        heap_mb=4096.0,
        request_kb=3.0,
        io_per_request=1.1,
        gc_cycles=30.0,
        disk_percent=52.0,
        cleanup_hour=0.9,
    ),
    Service(
        "inventory",
        "data",
        outside_rps=30.0,
        peak_utilisation=0.64,
        service_ms=7.0,
        request_kb=1.0,
        response_kb=3.5,
        io_per_request=1.8,
        gc_cycles=34.0,
        disk_percent=61.0,
        cleanup_hour=1.3,
    ),
    Service(
        "payments",
        "core",
        {"accounts": 0.5},
        cores=4,
        peak_utilisation=0.58,
        service_ms=22.0,
        io_per_request=1.4,
        gc_cycles=26.0,
        disk_percent=44.0,
        cleanup_hour=1.8,
    ),
    Service("search", "core", {"pricing": 0.8}, service_ms=18.0, heap_mb=8192.0, response_kb=20.0, gc_cycles=36.0),
    Service("cart", "core", {"pricing": 0.6}, service_ms=6.0, gc_cycles=33.0, cleanup_hour=2.2),
    Service("accounts", "data", service_ms=5.0, io_per_request=0.9, gc_cycles=28.0, cleanup_hour=2.6),
    Service("pricing", "data", cores=4, service_ms=4.0, gc_cycles=35.0, disk_percent=33.0, cleanup_hour=3.1),
    Service("shipping", "core", {"warehouse": 1.2}, cores=4, service_ms=25.0, gc_cycles=24.0, cleanup_hour=3.5),
    Service("notifications", "core", cores=2, peak_utilisation=0.5, service_ms=30.0, gc_cycles=27.0, cleanup_hour=3.9),
    Service("warehouse", "data", cores=4, service_ms=12.0, io_per_request=2.0, gc_cycles=31.0, cleanup_hour=4.3),
    Service("recommendations", "core", outside_rps=60.0, service_ms=35.0, heap_mb=8192.0, gc_cycles=37.0),
)
"""The services a fleet is made of, callers first."""


class Fleet:
    """The first ``size`` of :data:`SERVICES` with their call graph; S services.

    ``calls[S, S]`` holds calls per request (row: caller), ``nominal_rps[S]`` the mean load.
    """

    def __init__(self, size: int) -> None:
        self.services = SERVICES[:size]
        self.names = tuple(service.name for service in self.services)
        self.calls = np.array([[caller.calls.get(name, 0.0) for name in self.names] for caller in self.services])
        self.nominal_rps = self.column("outside_rps")
        for s in range(size):
            self.nominal_rps[s] += self.nominal_rps[:s] @ self.calls[:s, s]

    def column(self, attribute: str) -> np.ndarray:
        """A numeric attribute of every service, ``[S]``."""
        return np.array([float(getattr(service, attribute)) for service in self.services])
