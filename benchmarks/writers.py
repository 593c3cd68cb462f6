"""Samples a second that go into Prometheus: ``python -m benchmarks.writers --out FILE.json``.

A Prometheus of its own, on this machine and beside all else that runs, takes the scores of many groups by remote
write: tick by tick through the queue on disk, then a backlog as after an outage. Encoding alone stands beside it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cramjam
import httpx
import numpy as np
import pandas as pd

from benchmarks.figures import Figures, run
from tsdiff_connectors.prometheus import RemoteWriter
from tsdiff_connectors.prometheus.remote_write_proto import write_request
from tsdiff_connectors.queue.samples import Samples
from tsdiff_connectors.queue.series import SERIES, score_rows, unpacked
from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import Expected, ScoreBatch, Scores

__all__ = ["main"]

_START = pd.Timestamp("2024-05-01", tz="UTC")


@dataclass(frozen=True)
class _Sizes:
    groups: int = 200
    metrics: int = 38
    ticks: int = 25
    request: int = 20_000
    """Samples encoded at once."""


_QUICK = _Sizes(groups=3, metrics=2, ticks=3, request=100)

_TARGETS = {"samples_per_second": (100_000, 200_000), "backlog_samples_per_second": (100_000, 200_000)}
"""The least that is asked, and the aim (two cores)."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit status, 2 for input that is wrong."""
    return run("writers", __doc__, arguments, measure=_measure, table=_table)


def _measure(quick: bool) -> Figures:
    sizes = _sizes(quick)
    figures = _encoding(sizes)
    with tempfile.TemporaryDirectory() as folder, _prometheus(Path(folder)) as url:
        return figures | _writing(sizes, url, Path(folder))


def _sizes(quick: bool) -> _Sizes:
    return _QUICK if quick else _Sizes()


def _encoding(sizes: _Sizes) -> Figures:
    """Samples a second into a compressed request: of a tick, and of a backlog with many samples for each series."""
    found: Figures = {}
    for name, each in (("encode", 1), ("encode_backlog", sizes.ticks)):
        rows = score_rows(_batch(0, 0, sizes), SERIES, {})
        labels = unpacked(rows.layout)
        series = [(("instance", f"web-{n}"), *labels[n % len(labels)]) for n in range(sizes.request // each)]
        values = np.random.default_rng(0).normal(size=(len(series), each))
        samples = Samples.of(series, rows.times_ms[0] + 60_000 * np.arange(each), values)
        write_request(samples)  # labels are encoded once
        found[f"{name}_samples_per_second"] = round(len(samples) / _seconds(samples))
    return found


def _seconds(samples: Samples, repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        began = time.perf_counter()
        cramjam.snappy.compress_raw(write_request(samples))
        taken.append(time.perf_counter() - began)
    return float(np.median(taken))


def _writing(sizes: _Sizes, url: str, folder: Path) -> Figures:
    """Samples a second from ``write`` until Prometheus has them: as they come, and after an outage."""
    ticks = [[_batch(group, tick, sizes) for group in range(sizes.groups)] for tick in range(2 * sizes.ticks)]
    each = sizes.groups * sizes.ticks * (1 + 5 * sizes.metrics)
    writer = _writer(url, folder)
    began, used = time.perf_counter(), time.process_time()
    writing = _write(writer, ticks[: sizes.ticks])
    _until(lambda: writer.stats()["queue_samples"] == 0)
    live, cpu = time.perf_counter() - began, time.process_time() - used
    _close(writer, each)
    away = _writer(f"http://127.0.0.1:{_free_port()}", folder)
    _write(away, ticks[sizes.ticks :])
    _close(away, 0)
    writer = _writer(url, folder)
    began = time.perf_counter()
    writer.write(_batch(0, 2 * sizes.ticks, sizes))
    _until(lambda: writer.stats()["queue_samples"] == 0)
    backlog = time.perf_counter() - began
    _close(writer, each + 1 + 5 * sizes.metrics)
    return {
        "samples": each,
        "samples_per_second": round(each / live),
        "backlog_samples_per_second": round(each / backlog),
        "cpu_seconds_per_million": round(1e6 * cpu / each, 2),
        "write_ms": round(1e3 * writing / (sizes.groups * sizes.ticks), 3),
    }


def _writer(url: str, folder: Path) -> RemoteWriter:
    config = {"url": f"{url}/api/v1/write", "queue_path": folder / "queue.sqlite", "retries": 0}
    return RemoteWriter(RemoteWriter.Config.model_validate(config), Context())


def _write(writer: RemoteWriter, ticks: list[list[ScoreBatch]]) -> float:
    """Seconds in which a caller of ``write`` waits."""
    began = time.perf_counter()
    for batches in ticks:
        for batch in batches:
            writer.write(batch)
    return time.perf_counter() - began


def _close(writer: RemoteWriter, expected: int) -> None:
    writer.close()
    if (written := int(writer.stats()["samples_written_total"])) != expected:
        raise TsdiffError(f"{written:,} of {expected:,} samples arrived")


def _batch(group: int, tick: int, sizes: _Sizes) -> ScoreBatch:
    """One row of one group, with what each metric should have been."""
    rng = np.random.default_rng((group, tick))
    labels = {"instance": f"web-{group}"}
    series = tuple(Series(f"metric_{n:02}", labels) for n in range(sizes.metrics))
    frame = Frame(_START + pd.Timedelta(tick, "min"), pd.Timedelta(1, "min"), rng.normal(size=(1, len(series))), series)
    yhat = rng.normal(size=(1, len(series)))
    share = np.full((1, len(series)), 1 / len(series))
    scores = Scores(frame.times, series, rng.exponential(size=1), share)
    expected = Expected(frame.times, series, yhat, yhat - 1, yhat + 1)
    return ScoreBatch("hosts", "default", "minutely", tuple(labels.items()), frame, scores, expected)


@contextmanager
def _prometheus(folder: Path) -> Iterator[str]:
    """The address of a new Prometheus that takes remote write. Raises ``TsdiffError`` where it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        raise TsdiffError("needs the program prometheus")
    (folder / "prometheus.yml").write_text("{}\n")
    address = f"127.0.0.1:{_free_port()}"
    options = ["--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}"]
    options += ["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y"]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen([program, *options], cwd=folder, stdout=log, stderr=log)  # noqa: S603
    try:
        _until(lambda: _ready(f"http://{address}/-/ready"))
        yield f"http://{address}"
    finally:
        server.terminate()
        server.wait(30)


def _ready(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def _until(condition: Callable[[], bool], limit: float = 600.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise TsdiffError("the server took too long")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _table(figures: Figures, quick: bool) -> str:
    sizes = _sizes(quick)
    labels = {
        "encode_samples_per_second": "samples encoded and compressed per second, one per series",
        "encode_backlog_samples_per_second": f"the same, {sizes.ticks} per series",
        "samples_per_second": f"{figures['samples']:,} samples of {sizes.groups} groups, tick by tick, per second",
        "backlog_samples_per_second": "as many again after an outage, per second",
        "cpu_seconds_per_million": "our CPU seconds per million samples, tick by tick",
        "write_ms": f"a row of a group of {sizes.metrics} metrics: what scoring waits (ms)",
    }
    lines = [f"{'figure':<66}{'measured':>12}{'at least':>12}{'aim':>10}  met"]
    for key, label in labels.items():
        value, target = figures[key], _TARGETS.get(key)
        line = f"{label:<66}{value:>12,.10g}"
        if target:
            least, aim = target
            line += f"{f'>= {least:,}':>12}{aim:>10,}  {'yes' if value >= least else 'NO'}"
        lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
