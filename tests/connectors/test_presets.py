"""The shipped configurations for Prometheus, on real servers that hold what they ask for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pytest

from tests.connectors.conftest import PrometheusServer
from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_monitor.config.loader import load_config
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.plugins import Context, ReadRequest
from tsdiff_monitor.timeseries.frame import Frame, Group

CONFIGS = Path(__file__).parents[2] / "configs"
START = pd.Timestamp("2024-05-01T00:00:00Z")
POD = 'namespace="shop",pod="cart-1"'


def answers(name: str, monitor: str, url: str, start: pd.Timestamp, end: pd.Timestamp, step: str) -> dict[str, Frame]:
    """Results of each query of a monitor, the groups side by side; the shipped address is replaced."""
    config = load_config(CONFIGS / name)
    entry, asked = config.readers["prom"], config.monitors[monitor]
    assert isinstance(asked, MonitorConfig)
    reader = PrometheusReader(entry.config.model_copy(update={"url": type(entry.config)(url=url).url}), Context("prom"))  # type: ignore[arg-type,call-arg]
    found = {}
    for query_name, query in asked.queries.items():
        request = ReadRequest((query.asked(query_name),), start, end, pd.Timedelta(step), tuple(asked.groupby))
        frames: dict[Group, Frame] = dict(reader.read(request).frames)
        for group, frame in frames.items():
            assert [label for label, _ in group] == sorted(asked.groupby)
            assert len(frame.series) == 1, f"{query_name} has {len(frame.series)} series in one group"
        found[query_name] = next(iter(frames.values()), None)
    reader.close()
    return {name: frame for name, frame in found.items() if frame is not None}


def history(lines: dict[str, float]) -> str:
    """Twenty minutes of series that grow by so much a minute (``_total`` and ``_bucket``), or stay as they are."""

    def values() -> Iterator[str]:
        for series, size in lines.items():
            grows = series.split("{")[0].endswith(("_total", "_bucket"))
            for minute in range(21):
                at = int(START.timestamp()) + 60 * minute
                yield f"{series} {size * minute if grows else size} {at}\n"

    return "".join(values()) + "# EOF\n"


def test_services_by_the_red_method(prometheus_server: PrometheusServer) -> None:
    """Rates, shares and quantiles come out as the counters were made, for each job by itself."""
    lines = {f'http_requests_total{{job="api",code="{code}"}}': n for code, n in (("200", 54), ("404", 3), ("500", 3))}
    buckets = {"0.1": 30, "0.5": 59, "1": 60, "+Inf": 60}
    lines |= {f'http_request_duration_seconds_bucket{{job="api",le="{le}"}}': n for le, n in buckets.items()}
    url = prometheus_server(history=history(lines))
    end = START + pd.Timedelta("20min")
    found = answers("http-red.yaml", "services", url, end - pd.Timedelta("5min"), end, "1min")
    last = {name: float(frame.values[-1, 0]) for name, frame in found.items()}
    assert last["requests"] == pytest.approx(1.0)
    assert last["errors"] == last["refused"] == pytest.approx(0.05)
    assert last["median"] == pytest.approx(0.1)
    assert 0.5 < last["slowest"] < 1.0


def test_a_service_without_errors_has_none(prometheus_server: PrometheusServer) -> None:
    """A share of zero, and not a missing metric, where no request ever failed."""
    url = prometheus_server(history=history({'http_requests_total{job="calm",code="200"}': 60}))
    end = START + pd.Timedelta("20min")
    found = answers("http-red.yaml", "services", url, end - pd.Timedelta("5min"), end, "1min")
    assert (found["errors"].values[:, 0] == 0).all()


def test_workloads_of_a_cluster(prometheus_server: PrometheusServer) -> None:
    """The use of a workload's pods is summed up under the workload's name."""
    container = f'{POD},container="app"'
    lines = {
        f'namespace_workload_pod:kube_pod_owner:relabel{{{POD},workload="cart",workload_type="deployment"}}': 1,
        f"container_cpu_usage_seconds_total{{{container}}}": 30,
        f"container_cpu_cfs_throttled_periods_total{{{container}}}": 6,
        f"container_cpu_cfs_periods_total{{{container}}}": 60,
        f"container_memory_working_set_bytes{{{container}}}": 5e8,
        f"container_network_receive_bytes_total{{{POD}}}": 6000,
        f"container_network_transmit_bytes_total{{{POD}}}": 12000,
        f"kube_pod_container_status_restarts_total{{{container}}}": 0,
        f'kube_pod_status_ready{{{POD},condition="true"}}': 1,
        f'kube_pod_status_ready{{{POD},condition="false"}}': 0,
    }
    url = prometheus_server(history=history(lines))
    end = START + pd.Timedelta("20min")
    found = answers("kubernetes.yaml", "workloads", url, end - pd.Timedelta("5min"), end, "1min")
    last = {name: float(frame.values[-1, 0]) for name, frame in found.items()}
    expected = {"cpu": 0.5, "cpu_throttled": 0.1, "memory": 5e8, "received": 100, "sent": 200}
    assert last == pytest.approx(expected | {"restarts": 0, "not_ready": 0, "pods": 1})


def test_hosts_and_the_server_itself(prometheus_server: PrometheusServer, exporter: str) -> None:
    """Scraped for real: nearly every query of both files has values, none an error and none several series a group."""
    own = {"job_name": "prometheus", "metrics_path": "/metrics", "scrape_interval": "250ms", "scrape_timeout": "250ms"}
    node = {"job_name": "node", "scrape_interval": "250ms", "scrape_timeout": "250ms"}
    node |= {"static_configs": [{"targets": [exporter]}]}
    plain = prometheus_server(scrape=[node], fresh=True)
    address = plain.removeprefix("http://")
    url = prometheus_server(
        scrape=[node, own | {"static_configs": [{"targets": [address]}]}],
        flags=("--query.lookback-delta=1m",),
        fresh=True,
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        counted = httpx.get(
            f"{url}/api/v1/query", params={"query": "count(rate(process_cpu_seconds_total[1m] offset 4s)) == 2"}
        )
        if counted.json()["data"]["result"]:
            break
        time.sleep(0.1)
    now = pd.Timestamp.now(tz="UTC").floor("s")
    span = (now - pd.Timedelta("2s"), now, "1s")
    hosts = answers("node-exporter.yaml", "hosts", url, *span)
    always = {"cpu", "iowait", "steal", "load", "memory", "page_faults", "context_switches", "blocked"}
    assert always <= set(hosts), f"no values for {always - set(hosts)}"
    assert 0 <= np.nanmax(hosts["cpu"].values) <= 1.01
    server = answers("prometheus-self.yaml", "prometheus", url, *span)
    assert {"samples", "series", "cpu", "memory", "goroutines", "http_requests"} <= set(server)
    assert set(answers("prometheus-self.yaml", "targets", url, *span)) == {"down", "scrape_time", "samples"}
