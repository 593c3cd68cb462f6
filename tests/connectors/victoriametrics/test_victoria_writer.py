"""Scores written into a real VictoriaMetrics are found, and what it would quietly spoil is refused."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from tests.connectors.prometheus.test_remote_write import found
from tests.servers.faults import FaultProxy
from tsdiff_connectors.prometheus import RemoteWriter
from tsdiff_connectors.victoriametrics import VictoriaWriter
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import WriterConformance, example_batch

RUNS = itertools.count()
SAMPLES = 153
"""Finite samples of an example batch."""


def writer(url: str, path: Path | None = None, **config: Any) -> VictoriaWriter:
    """A writer to this VictoriaMetrics."""
    given = {"queue_path": path, "batch_send_deadline": "0s", "retries": 0, **config}
    return VictoriaWriter(VictoriaWriter.Config.model_validate({"url": url, **given}), Context(name="scores"))


def exported(url: str, run: dict[str, str]) -> list[str]:
    """Every sample under a run's label, doubled ones included."""
    httpx.get(f"{url}/internal/force_flush").raise_for_status()
    answer = httpx.get(f"{url}/api/v1/export", params={"match[]": f'{{run="{run["run"]}"}}'}).raise_for_status()
    samples = []
    for line in answer.text.splitlines():
        series = orjson.loads(line)
        rows = zip(series["timestamps"], series["values"], strict=True)
        samples += [f"{sorted(series['metric'].items())} {time} {value}" for time, value in rows]
    return sorted(samples)


@pytest.fixture
def run() -> dict[str, str]:
    """A label that no other test's series has."""
    return {"run": f"victoria-{next(RUNS)}"}


class TestVictoriaWriter(WriterConformance):
    """The promises of every writer, kept with a real VictoriaMetrics."""

    secrets = ("hunter2",)

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path, victoria_server: str, run: dict[str, str]) -> None:
        self.folder, self.url, self.run = tmp_path, victoria_server, run
        (tmp_path / "file").touch()

    def make(self, queue: str = "queue.sqlite") -> VictoriaWriter:
        headers = {"Authorization": "Bearer hunter2"}
        return writer(self.url, self.folder / queue, labels=self.run, http_headers=headers)

    def stored(self) -> list[str]:
        return exported(self.url, self.run)

    def broken(self) -> VictoriaWriter:
        return self.make("file/queue.sqlite")


def test_it_stores_what_remote_write_stores(victoria_server: str) -> None:
    """Both ways lead to the same series and samples, found by PromQL."""
    one, other = ({"run": f"victoria-{next(RUNS)}"} for _ in range(2))
    batch = example_batch(missing=0.2, names=("cpu|rate(%)", "übertragen"))
    first = writer(victoria_server, labels=one)
    config = {"url": f"{victoria_server}/api/v1/write", "labels": other}
    second = RemoteWriter(RemoteWriter.Config.model_validate(config), Context())
    for each in (first, second):
        each.write(batch)
        each.close()
        assert each.stats()["samples_written_total"] > 90
    samples = [sample.replace(other["run"], one["run"]) for sample in exported(victoria_server, other)]
    assert exported(victoria_server, one) == sorted(samples)
    query = f'anomaly_score{{run="{one["run"]}", instance="web-1"}} > 1'
    (rows,) = found(victoria_server, query, "2024-05-01T00:09:00Z").values()
    assert rows == [(1714522140.0, 2.0)]


def test_what_it_would_spoil_is_refused(victoria_server: str, run: dict[str, str]) -> None:
    """It cuts long values and drops labels beyond its limit, and says 204: such series are left out with a reason."""
    long = example_batch(group=(("path", "x" * 5000),))
    many = example_batch(group=tuple((f"label{n}", "x") for n in range(40)))
    one = writer(victoria_server, labels=run)
    with capture_logs() as logs:
        for batch in (long, example_batch(), many):
            one.write(batch)
        one.close()
    stats = one.stats()
    assert (stats["samples_written_total"], stats["samples_refused_total"]) == (SAMPLES, 2 * SAMPLES)
    assert len(exported(victoria_server, run)) == SAMPLES
    answers = {log["answer"] for log in logs if "answer" in log}
    assert answers <= {
        "the value of its label path is longer than `max_label_value_bytes`",
        "it has 46 labels, more than `max_labels`",
    }
    assert answers


@pytest.mark.parametrize("fault", [{"status": 503}, {"reset": True}, {"status": 429, "headers": {"Retry-After": "0"}}])
def test_nothing_is_lost(
    victoria_server: str,
    run: dict[str, str],
    fault_proxy: Callable[[str], FaultProxy],
    tmp_path: Path,
    fault: dict[str, Any],
) -> None:
    """Rows written while it was away are there afterwards, each sample once."""
    proxy = fault_proxy(victoria_server)
    proxy.fault(**fault)
    path = tmp_path / "queue.sqlite"
    first = writer(proxy.url, path, labels=run)
    first.write(example_batch())
    first.close()
    assert exported(victoria_server, run) == []
    proxy.heal()
    second = writer(proxy.url, path, labels=run)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    assert len(exported(victoria_server, run)) == 2 * SAMPLES
