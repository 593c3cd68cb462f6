"""Reading a history from a real Prometheus, beside what cannot be saved: fetching its bytes, and parsing them."""

from __future__ import annotations

import gc
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import orjson
import pandas as pd

from tsdiff_connectors.prometheus import PrometheusReader
from tsdiff_connectors.prometheus.config import MOST_POINTS
from tsdiff_monitor.errors import SourceError, TsdiffError
from tsdiff_monitor.plugins import Context, Query, ReadRequest

__all__ = ["curl_seconds", "history", "history_request", "prometheus", "read_seconds"]

STEP = 60
START = 1_714_521_600
"""Unix seconds of the first row; the history is put into blocks, so it may be of any age."""
_GROUP = (("instance", "web-1"),)


def history(series: int, rows: int) -> tuple[np.ndarray, str]:
    """Values ``[rows, series]`` of three digits, as gauges have them, and the same as OpenMetrics text."""
    rng = np.random.default_rng(0)
    waves = 50 + 10 * np.sin(np.arange(rows)[:, None] / 200 + np.arange(series))
    values = np.round(waves + rng.normal(0, 1, (rows, series)), 3)
    lines = [
        f'm{k:02}{{instance="web-1"}} {value} {START + STEP * row}\n'
        for k in range(series)
        for row, value in enumerate(values[:, k].tolist())
    ]
    return values, "".join(lines) + "# EOF\n"


def history_request(series: int, rows: int) -> ReadRequest:
    """Everything that :func:`history` holds, a query for each series."""
    start, step = pd.Timestamp(START, unit="s", tz="UTC"), pd.Timedelta(STEP, "s")
    queries = tuple(Query(f"m{k:02}", f"m{k:02}") for k in range(series))
    return ReadRequest(queries, start, start + rows * step, step, ("instance",))


@contextmanager
def prometheus(text: str, folder: Path) -> Iterator[str]:
    """The address of a Prometheus that holds ``text``. Raises ``TsdiffError`` where the programs are not installed."""
    programs = [shutil.which(name) for name in ("prometheus", "promtool", "curl")]
    if None in programs:
        raise TsdiffError("needs the programs prometheus, promtool and curl")
    (folder / "history.om").write_text(text)
    (folder / "prometheus.yml").write_text("{}\n")
    blocks = ["tsdb", "create-blocks-from", "openmetrics", "-q", "--max-block-duration=744h"]
    subprocess.run([str(programs[1]), *blocks, "history.om", "data"], cwd=folder, check=True)  # noqa: S603
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{sock.getsockname()[1]}"
    flags = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y"]
    with (folder / "prometheus.log").open("wb") as log:
        command = [str(programs[0]), *flags, f"--web.listen-address={address}"]
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603
    try:
        _wait(f"http://{address}/-/ready", server)
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(10)


def read_seconds(url: str, values: np.ndarray, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds that a new reader takes for the whole history. Raises ``SourceError`` when it is not all there."""
    rows, series = values.shape
    request = history_request(series, rows)
    began = clock()
    reader = PrometheusReader(PrometheusReader.Config.model_validate({"url": url}), Context("benchmark"))
    frame = reader.read(request).frames[_GROUP]
    taken = clock() - began
    reader.close()
    if not np.array_equal(frame.values, values.astype(np.float32)):
        raise SourceError("what was read is not what was stored")
    return taken


def curl_seconds(
    url: str, shape: tuple[int, int], folder: Path, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, int]:
    """Seconds that one curl takes for the same requests, as many at once, and orjson for its files; and their bytes."""
    rows, series = shape
    calls = [(k, first) for k in range(series) for first in range(0, rows, MOST_POINTS)]
    lines = []
    for number, (k, first) in enumerate(calls):
        last = min(first + MOST_POINTS, rows) - 1
        form = f"query=m{k:02}&start={START + STEP * first}&end={START + STEP * last}&step={STEP}"
        output = folder / f"answer-{number}"
        lines += [f'url = "{url}/api/v1/query_range"', f'data = "{form}"', f'output = "{output}"', "next"]
    (folder / "curl.cfg").write_text("\n".join(lines[:-1]) + "\n")
    flags = ["--silent", "--no-progress-meter", "--parallel", "--parallel-max", "4", "--config", "curl.cfg"]
    gc.disable()  # it would go through all that this process holds again and again while orjson makes its lists
    try:
        began = clock()
        subprocess.run(["curl", *flags], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
        size = 0
        for number in range(len(calls)):
            content = (folder / f"answer-{number}").read_bytes()
            orjson.loads(content)
            size += len(content)
        return clock() - began, size
    finally:
        gc.enable()


def _wait(url: str, server: subprocess.Popen[bytes], limit: float = 30.0) -> None:
    until = time.monotonic() + limit
    while time.monotonic() < until and server.poll() is None:
        try:
            if httpx.get(url, trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.02)
    raise TsdiffError(f"{url} does not get ready")
