"""Scores written by remote write are found in a real Prometheus, and its refusals hold nothing up."""

from __future__ import annotations

import dataclasses
import itertools
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from tests.connectors.conftest import PrometheusServer, SecureServer
from tests.servers.faults import FaultProxy
from tsdiff_connectors.prometheus import RemoteWriter
from tsdiff_connectors.queue.bisect import PoisonSampleBisector, Verdict
from tsdiff_connectors.queue.samples import Samples
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, WriterConformance, example_batch

END = "2024-05-01T01:00:00Z"
RUNS = itertools.count()
SAMPLES = 153
"""Finite samples of an example batch."""

Found = dict[tuple[tuple[str, str], ...], list[tuple[float, float]]]


def found(url: str, query: str, at: str = END, **client: Any) -> Found:
    """The findings of an instant query, by labels; of a range all samples."""
    answer = httpx.post(f"{url}/api/v1/query", data={"query": query, "time": at}, **client).raise_for_status().json()
    return {
        tuple(sorted(one["metric"].items())): [
            (float(time), float(value)) for time, value in one.get("values") or [one["value"]]
        ]
        for one in answer["data"]["result"]
    }


def writer(url: str, path: Path | None = None, **config: Any) -> RemoteWriter:
    """A writer to this Prometheus."""
    given = {"queue_path": path, "batch_send_deadline": "0s", "retries": 0, **config}
    given["url"] = f"{url}/api/v1/write"
    return RemoteWriter(RemoteWriter.Config.model_validate(given), Context(name="scores"))


@pytest.fixture(scope="module")
def server(prometheus_server: PrometheusServer) -> str:
    return prometheus_server(fresh=True)


@pytest.fixture
def run() -> dict[str, str]:
    """A label that no other test's series has."""
    return {"run": str(next(RUNS))}


class TestRemoteWriter(WriterConformance):
    """The promises of every writer, kept with a real Prometheus."""

    secrets = ("hunter2",)

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path, server: str, run: dict[str, str]) -> None:
        self.folder, self.url, self.run = tmp_path, server, run
        (tmp_path / "file").touch()

    def make(self, queue: str = "queue.sqlite") -> RemoteWriter:
        headers = {"Authorization": "Bearer hunter2"}
        return writer(self.url, self.folder / queue, labels=self.run, http_headers=headers)

    def stored(self) -> Found:
        return found(self.url, f'{{run="{self.run["run"]}"}}[2h]')

    def broken(self) -> RemoteWriter:
        return self.make("file/queue.sqlite")


def test_scores_are_read_back(server: str, run: dict[str, str]) -> None:
    """Each series is found by PromQL under its labels, with the batch's numbers at the batch's times."""
    batch = example_batch(missing=0.2)
    one = writer(server, labels=run)
    one.write(batch)
    one.close()
    assert batch.expected is not None
    assert one.stats()["samples_written_total"] > 100
    every = {"instance": "web-1", "monitor": "hosts", "model_alias": "default", "scheduler_alias": "minutely", **run}
    columns = {("anomaly_score", "hosts"): batch.scores.score}
    for k, name in enumerate(batch.frame.names):
        columns["y", name] = batch.frame.values[:, k]
        columns["attribution", name] = np.where(np.isnan(batch.scores.score), np.nan, batch.scores.attribution[:, k])
        for series in ("yhat", "yhat_lower", "yhat_upper"):
            columns[series, name] = getattr(batch.expected, series)[:, k]
    wanted = {}
    for (series, target), values in columns.items():
        labels = tuple(sorted({"__name__": series, "for": target, **every}.items()))
        times = batch.frame.times.asi8 / 1e9
        wanted[labels] = [(t, float(v)) for t, v in zip(times, values, strict=True) if np.isfinite(v)]
    assert found(server, f'{{run="{run["run"]}"}}[2h]') == wanted
    query = f'max by (instance) (anomaly_score{{monitor="hosts", run="{run["run"]}"}}) > 1'
    assert found(server, query, "2024-05-01T00:09:00Z") == {(("instance", "web-1"),): [(1714522140.0, 2.0)]}


def test_rows_of_the_future_do_not_block_prometheus(server: str, run: dict[str, str]) -> None:
    """Rows later than the clock are not written: after them Prometheus would refuse everything until then."""
    present = example_batch().frame.times[4].timestamp()
    config = RemoteWriter.Config.model_validate({"url": f"{server}/api/v1/write", "labels": run})
    one = RemoteWriter(config, Context(now=FakeClock(present)))
    one.write(example_batch())
    one.close()
    times = {time for rows in found(server, f'{{run="{run["run"]}"}}[2h]').values() for time, _ in rows}
    assert max(times) == present
    assert one.stats()["samples_future_total"] > 0


def test_late_samples_are_settled(server: str, run: dict[str, str]) -> None:
    """If a state was lost and older rows come again, Prometheus refuses them; the other group's rows arrive."""
    first = writer(server, labels=run)
    first.write(example_batch(start="2024-05-01T00:10:00Z", names=("cpu",)))
    first.close()
    again = writer(server, labels=run, batch_send_deadline="1m")
    again.write(example_batch(names=("cpu",)))
    again.write(example_batch(names=("cpu",), group=(("instance", "web-2"),)))
    with capture_logs() as logs:
        again.close()
    stats = again.stats()
    count = 9 * 3 + 10 * 3
    assert (stats["samples_settled_total"], stats["samples_refused_total"]) == (count, 0)
    assert stats["samples_written_total"] == count
    assert len(found(server, f'{{run="{run["run"]}", instance="web-2"}}[2h]')) == 6
    assert any("out of order" in log.get("answer", "") for log in logs)


def test_hours_of_several_groups_are_caught_up(
    prometheus_server: PrometheusServer, fault_proxy: Callable[[str], FaultProxy], tmp_path: Path
) -> None:
    """Prometheus takes nothing an hour older than its newest sample of any series: what waits is sent by its time."""
    proxy = fault_proxy(prometheus_server(fresh=True))
    proxy.fault(status=503)
    path = tmp_path / "queue.sqlite"
    for number in range(4):
        one = writer(proxy.url, path)
        one.write(example_batch(300, group=(("instance", f"web-{number}"),), names=("cpu",), expected=False))
        one.close()
    proxy.heal()
    last = writer(proxy.url, path, max_samples_per_send=100)
    last.write(example_batch(1, start="2024-05-01T05:00:00Z", names=("cpu",)))
    last.close()
    assert last.stats()["samples_settled_total"] == 0
    assert last.stats()["samples_written_total"] == 4 * 3 * 299 + 3


def test_a_duplicate_label_is_isolated(server: str, run: dict[str, str]) -> None:
    """Prometheus answers 500 to a label given twice: that series is left out, and all the others are stored."""
    one = writer(server)
    labels = [(("__name__", "y"), ("for", str(n)), *run.items()) for n in range(20)]
    labels[7] = (("__name__", "y"), ("for", "a"), ("for", "b"), *run.items())
    samples = Samples.of(labels, np.array([1714521600000]), np.ones((20, 1)))
    target = one._target
    outcome = PoisonSampleBisector(lambda part, retry: target.send(part, retry=retry)).deliver(samples)
    one.close()
    (refusal,) = outcome.refusals
    assert (refusal.series, refusal.verdict, outcome.accepted) == (labels[7], Verdict.target_down, 19)
    assert len(found(server, f'{{run="{run["run"]}"}}')) == 0 < len(found(server, f'{{run="{run["run"]}"}}[2h]')) == 19


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}}, "rate_limited"),
        ({"status": 500}, "server_error"),
        ({"status": 503}, "server_error"),
        ({"status": 401}, "auth"),
        ({"reset": True}, "connect"),
        ({"cut_after": 30}, "connect"),
        ({"reset_after": 30}, "connect"),
    ],
)
def test_nothing_is_lost_or_doubled(
    server: str,
    run: dict[str, str],
    fault_proxy: Callable[[str], FaultProxy],
    tmp_path: Path,
    fault: dict[str, Any],
    reason: str,
) -> None:
    """A request or only its answer may be lost, and any answer may come: in the end each sample is there once."""
    proxy = fault_proxy(server)
    proxy.fault(**fault)
    path = tmp_path / "queue.sqlite"
    with capture_logs() as logs:
        first = writer(proxy.url, path, labels=run)
        first.write(example_batch())
        first.close()
    assert {log["reason"] for log in logs if "reason" in log} == {reason}
    assert first.stats()["samples_written_total"] == 0
    proxy.heal()
    second = writer(proxy.url, path, labels=run)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    stats = second.stats()
    assert stats["samples_written_total"] + stats["samples_settled_total"] == 2 * SAMPLES
    assert len(proxy.requests) < 30
    rows = found(server, f'{{run="{run["run"]}"}}[2h]')
    assert sum(map(len, rows.values())) == 2 * SAMPLES


def test_down_for_a_thousand_ticks(
    prometheus_server: PrometheusServer, run: dict[str, str], fault_proxy: Callable[[str], FaultProxy], tmp_path: Path
) -> None:
    """After the outage Prometheus holds every row of it, in order and once, also those from before a restart."""
    server = prometheus_server(fresh=True)  # its rows are later than the other tests', which could then not be written
    proxy = fault_proxy(server)
    proxy.fault(reset=True)
    batch = example_batch(2, names=("cpu",), expected=False)
    minute, start = pd.Timedelta("1min"), pd.Timestamp("2024-05-01T01:00:00Z")
    for restart in range(2):
        one = writer(proxy.url, tmp_path / "queue.sqlite", labels=run, series=("anomaly_score", "y"))
        for tick in range(500 * restart, 500 * restart + 500):
            frame = dataclasses.replace(batch.frame, start=start + tick * minute)
            one.write(
                dataclasses.replace(batch, frame=frame, scores=dataclasses.replace(batch.scores, times=frame.times))
            )
        one.close()
        assert one.stats()["samples_written_total"] == 0
    proxy.heal()
    last = writer(proxy.url, tmp_path / "queue.sqlite", labels=run)
    last.write(example_batch(1, names=("cpu",), start="2024-05-02T00:00:00Z"))
    last.close()
    rows = found(server, f'{{run="{run["run"]}", __name__=~"anomaly_score|y"}}[30h]', "2024-05-02T01:00:00Z")
    wanted = [(start + (tick + 1) * minute).timestamp() for tick in range(1000)]
    assert [[time for time, _ in samples] for samples in rows.values()] == [wanted, wanted]


def test_a_kill_between_queue_and_target_loses_nothing(server: str, run: dict[str, str], tmp_path: Path) -> None:
    """A process that is killed after `write` returned has its rows written by the next one."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.connectors.prometheus.test_remote_write import example_batch, writer\n"
        "one = writer(sys.argv[1], Path(sys.argv[2]), labels={'run': sys.argv[3]}, batch_send_deadline='1h')\n"
        "one.write(example_batch())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = tmp_path / "queue.sqlite"
    command = [sys.executable, "-c", script, server, str(path), run["run"]]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert found(server, f'{{run="{run["run"]}"}}[2h]') == {}
    one = writer(server, path, labels=run)
    one.write(example_batch())
    one.write(example_batch(start="2024-05-01T00:10:00Z"))
    one.close()
    rows = found(server, f'{{run="{run["run"]}"}}[2h]')
    assert sum(map(len, rows.values())) == 2 * SAMPLES


def test_credentials_and_certificates(secure_prometheus: SecureServer, run: dict[str, str], tmp_path: Path) -> None:
    """Through TLS with a password; with a wrong one rows wait, and the error names the key but not the secret."""
    server = secure_prometheus()
    tls = {"ca_file": str(server.ca_file)}
    user = {"username": server.username}
    path = tmp_path / "queue.sqlite"
    with capture_logs() as logs:
        one = writer(server.url, path, labels=run, tls_config=tls, basic_auth={**user, "password": "wrong-horse"})
        one.write(example_batch())
        one.close()
    assert "check `basic_auth`" in str(logs)
    assert "wrong-horse" not in str(logs)
    two = writer(server.url, path, labels=run, tls_config=tls, basic_auth={**user, "password": server.password})
    two.write(example_batch(start="2024-05-01T00:10:00Z"))
    two.close()
    assert two.stats()["samples_written_total"] == 2 * SAMPLES


def test_a_place_that_is_no_receiver(server: str, tmp_path: Path) -> None:
    """A wrong path is said with what to check; nothing is thrown away for it."""
    with capture_logs() as logs:
        one = writer(f"{server}/nowhere", tmp_path / "queue.sqlite")
        one.write(example_batch())
        one.close()
    assert any("check the path of `url`" in log.get("error", "") for log in logs)
    assert one.stats()["samples_refused_total"] == 0


def test_a_configuration_that_does_not_fit_is_refused() -> None:
    """An address that is none, credentials twice, a header that the writer sets itself."""
    url = "http://h/api/v1/write"
    for config in (
        {"url": "h:9090"},
        {"url": "http://u:p@h/", "basic_auth": {"username": "u"}},
        {"url": url, "http_headers": {"Content-Encoding": "gzip"}},
        {"url": url, "unknown": 1},
    ):
        with pytest.raises(ValidationError):
            RemoteWriter.Config.model_validate(config)
