"""Prometheus with a history of its own, and the exporter it scrapes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.servers.process import Process, answers, find_program, free_port

__all__ = ["start_exporter", "start_prometheus"]

Scrape = str | Mapping[str, Any]
"""``host:port`` or a whole entry of ``scrape_configs``."""


def start_prometheus(
    folder: Path,
    *,
    history: str | Path | None = None,
    scrape: Sequence[Scrape] = (),
    scrape_interval: str = "1s",
    web_config: Mapping[str, Any] | None = None,
    probe: Mapping[str, Any] | None = None,
    flags: Sequence[str] = (),
) -> Process:
    """Start Prometheus with its data in ``folder``; the receiver of remote write is on.

    ``history``: OpenMetrics text, ended by ``# EOF``, or a file of it, written into blocks before the start.
    ``web_config``: what ``--web.config.file`` holds; ``probe`` then gives httpx.Client what it needs to get in.
    """
    program = find_program("prometheus", "prometheus")
    data = folder / "data"
    if history is not None:
        backfill(folder, history, data)
    jobs = [
        {"job_name": f"job{k}", "static_configs": [{"targets": [one]}]} if isinstance(one, str) else dict(one)
        for k, one in enumerate(scrape)
    ]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": scrape_interval}, "scrape_configs": jobs}))
    port = free_port()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-lifecycle",
        "--web.enable-remote-write-receiver",
        "--storage.tsdb.retention.time=100y",
        "--scrape.discovery-reload-interval=10ms",  # one wait of 5 s for the first scrape instead of two
        *flags,
    ]
    scheme = "http"
    if web_config is not None:
        (folder / "web.yml").write_text(yaml.safe_dump(dict(web_config)))
        command.append(f"--web.config.file={folder / 'web.yml'}")
        scheme = "https" if "tls_server_config" in web_config else "http"
    url = f"{scheme}://127.0.0.1:{port}"
    return Process(url, command, folder, answers(f"{url}/-/ready", **dict(probe or {})))


def backfill(folder: Path, history: str | Path, data: Path) -> None:
    """Write OpenMetrics text into blocks under ``data``."""
    if isinstance(history, str):
        (folder / "history.om").write_text(history)
        history = folder / "history.om"
    program = find_program("promtool", "prometheus")
    # Blocks of two hours, the default, take a hundred times as long.
    command = [program, "tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=744h", history, data]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise ValueError(f"promtool: {done.stderr.strip() or done.stdout.strip()}")


def start_exporter(folder: Path) -> Process:
    """Start prometheus-node-exporter with a few cheap collectors; ``url`` is without ``/metrics``."""
    program = find_program("prometheus-node-exporter", "prometheus-node-exporter")
    url = f"http://127.0.0.1:{(port := free_port())}"
    collectors = ("cpu", "loadavg", "meminfo", "netdev", "diskstats", "filesystem", "stat", "uname", "vmstat", "time")
    command = [program, f"--web.listen-address=127.0.0.1:{port}", "--collector.disable-defaults"]
    command += [f"--collector.{name}" for name in collectors]
    return Process(url, command, folder, answers(f"{url}/"))
