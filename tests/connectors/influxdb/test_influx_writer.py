"""Scores written as line protocol are found in a real InfluxDB 1.6; version 2 is written to for real elsewhere."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from tests.connectors.prometheus.test_remote_write import found
from tests.servers.faults import FaultProxy
from tsdiff_connectors.influxdb.writer import InfluxWriter, line_protocol
from tsdiff_connectors.queue.samples import Samples
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import WriterConformance, example_batch

RUNS = itertools.count()
SAMPLES = 153
"""Finite samples of an example batch."""


def writer(url: str, database: str | None = None, path: Path | None = None, **config: Any) -> InfluxWriter:
    """A writer to this InfluxDB."""
    given = {"version": 1, "database": database, "queue_path": path, "batch_send_deadline": "0s", "retries": 0}
    return InfluxWriter(InfluxWriter.Config.model_validate({"url": url, **given, **config}), Context(name="scores"))


def query(url: str, database: str, text: str) -> list[dict[str, Any]]:
    """The series of an InfluxQL answer."""
    answer = httpx.post(f"{url}/query", params={"q": text, "db": database, "epoch": "ms"}).raise_for_status().json()
    (result,) = answer["results"]
    assert "error" not in result, result
    return list(result.get("series", []))


def stored(url: str, database: str) -> dict[str, list[list[float]]]:
    """All that a database holds: rows by measurement and tags."""
    series = query(url, database, "SELECT value FROM /.*/ GROUP BY *")
    return {json.dumps([one["name"], one["tags"]], sort_keys=True): one["values"] for one in series}


@pytest.fixture
def database(influx1_server: str) -> str:
    """A new database."""
    name = f"writer{next(RUNS)}"
    query(influx1_server, "", f'CREATE DATABASE "{name}"')
    return name


class TestInfluxWriter(WriterConformance):
    """The promises of every writer, kept with a real InfluxDB 1.6."""

    secrets = ("hunter2",)

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path, influx1_server: str, database: str) -> None:
        self.folder, self.url, self.database = tmp_path, influx1_server, database
        (tmp_path / "file").touch()

    def make(self, queue: str = "queue.sqlite") -> InfluxWriter:
        user = {"username": "robot", "password": "hunter2"}
        return writer(self.url, self.database, self.folder / queue, basic_auth=user)

    def stored(self) -> Any:
        return stored(self.url, self.database)

    def broken(self) -> InfluxWriter:
        return self.make("file/queue.sqlite")


def test_scores_are_read_back(influx1_server: str, database: str) -> None:
    """By InfluxQL: the series' name is the measurement, its labels are tags, the number is the field ``value``."""
    batch = example_batch(missing=0.2)
    one = writer(influx1_server, database, labels={"env": "test"})
    one.write(batch)
    one.close()
    (series,) = query(influx1_server, database, "SELECT value FROM y WHERE \"for\" = 'cpu' GROUP BY *")
    assert series["tags"] == {
        "env": "test",
        "for": "cpu",
        "instance": "web-1",
        "model_alias": "default",
        "monitor": "hosts",
        "scheduler_alias": "minutely",
    }
    wanted = zip(batch.frame.times.asi8 // 10**6, batch.frame.values[:, 0], strict=True)
    assert series["values"] == [[int(t), float(v)] for t, v in wanted if np.isfinite(v)]
    (score,) = query(influx1_server, database, "SELECT max(value) FROM anomaly_score")
    assert score["values"][0][1] == 2.0


@pytest.mark.parametrize(
    "value", ["a b", "a,b=c", "ä\\b", 'say "hi"', "a\\,b", "#x", "a\tb", "日本", "\\n", "x" * 5000, "a\\\\b", "'"]
)
def test_any_label_value_survives(influx1_server: str, database: str, value: str) -> None:
    """Characters that would end a tag, a line or a text come back as they were."""
    one = writer(influx1_server, database)
    one.write(example_batch(group=(("path", value), ("z", "last"))))
    one.close()
    (score,) = query(influx1_server, database, "SELECT value FROM anomaly_score GROUP BY *")
    assert (score["tags"]["path"], score["tags"]["z"], len(score["values"])) == (value, "last", 9)


def test_what_cannot_be_written_is_replaced(influx1_server: str, database: str) -> None:
    """Line ends become two characters, and a backslash at the end of a value, which nothing can escape, goes."""
    one = writer(influx1_server, database)
    one.write(example_batch(group=(("a", "C:\\"), ("b", "1\n2\r3"), ("c", "\\"))))
    one.close()
    (score,) = query(influx1_server, database, "SELECT value FROM anomaly_score GROUP BY *")
    tags = score["tags"]
    assert (tags["a"], tags["b"], "c" in tags) == ("C:", "1\\n2\\r3", False)


def test_a_partial_write_is_no_loss(influx1_server: str, database: str) -> None:
    """A field of another type makes InfluxDB refuse single lines with 400: those are named, the rest is stored."""
    lines = b'y,for=cpu value="text" 1714521600000000000'
    httpx.post(f"{influx1_server}/write", params={"db": database}, content=lines).raise_for_status()
    one = writer(influx1_server, database)
    with capture_logs() as logs:
        one.write(example_batch())
        one.close()
    stats = one.stats()
    assert (stats["samples_refused_total"], stats["samples_written_total"]) == (9 * 3, SAMPLES - 9 * 3)
    assert any("field type conflict" in log.get("answer", "") for log in logs)
    assert len(query(influx1_server, database, "SELECT value FROM yhat GROUP BY *")) == 3


def test_rows_older_than_the_retention_are_settled(influx1_server: str, database: str) -> None:
    """Points beyond the retention policy are counted as late, and not tried for ever."""
    query(influx1_server, database, f'CREATE RETENTION POLICY "short" ON "{database}" DURATION 1h REPLICATION 1')
    one = writer(influx1_server, database, retention_policy="short")
    one.write(example_batch())
    one.close()
    stats = one.stats()
    assert (stats["samples_settled_total"], stats["samples_written_total"]) == (SAMPLES, 0)


def test_a_missing_database_is_waited_for(influx1_server: str, tmp_path: Path) -> None:
    """The server's words are said; the rows arrive once somebody made the database."""
    name = f"writer{next(RUNS)}"
    path = tmp_path / "queue.sqlite"
    with capture_logs() as logs:
        first = writer(influx1_server, name, path)
        first.write(example_batch())
        first.close()
    assert any("database not found" in log.get("error", "") for log in logs)
    query(influx1_server, "", f'CREATE DATABASE "{name}"')
    second = writer(influx1_server, name, path)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    assert second.stats()["samples_written_total"] == 2 * SAMPLES


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_after": 20}, {"status": 429}])
def test_nothing_is_lost(
    influx1_server: str,
    database: str,
    fault_proxy: Callable[[str], FaultProxy],
    tmp_path: Path,
    fault: dict[str, Any],
) -> None:
    """The request or only its answer may be lost: each sample is there once."""
    proxy = fault_proxy(influx1_server)
    proxy.fault(**fault)
    path = tmp_path / "queue.sqlite"
    first = writer(proxy.url, database, path)
    first.write(example_batch())
    first.close()
    proxy.heal()
    second = writer(proxy.url, database, path)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    assert sum(map(len, stored(influx1_server, database).values())) == 2 * SAMPLES


def test_version_2_writes_for_real(victoria_server: str) -> None:
    """VictoriaMetrics takes the request of version 2, and shows the samples under their measurement and field."""
    run = f"influx-{next(RUNS)}"
    one = writer(victoria_server, version=2, org="o", bucket="b", token="t", labels={"run": run})
    one.write(example_batch())
    one.close()
    httpx.get(f"{victoria_server}/internal/force_flush")
    rows = found(victoria_server, f'{{run="{run}"}}[2h]')
    assert sum(map(len, rows.values())) == SAMPLES
    assert {dict(labels)["__name__"] for labels in rows} >= {"anomaly_score_value", "y_value"}


@pytest.mark.parametrize(
    ("config", "path", "params", "authorization"),
    [
        ({"version": 2, "org": "o", "bucket": "b/c"}, "/api/v2/write", {"org": "o", "bucket": "b/c"}, "Token t0ken"),
        ({"version": 3, "database": "d"}, "/api/v3/write_lp", {"db": "d", "precision": "millisecond"}, "Bearer t0ken"),
    ],
)
def test_versions_2_and_3_are_spoken_to_as_they_ask(
    config: dict[str, Any], path: str, params: dict[str, str], authorization: str
) -> None:
    """Address, parameters and token, checked against a stand-in: no such server is at hand."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(204)

    given = InfluxWriter.Config.model_validate({"url": "http://influx:8086/base", "token": "t0ken", **config})
    one = InfluxWriter(given, Context(transport=httpx.MockTransport(answer)))
    one.write(example_batch())
    one.close()
    (request,) = requests
    assert request.url.path == f"/base{path}"
    assert dict(request.url.params) == {"precision": "ms", **params}
    assert request.headers["Authorization"] == authorization
    assert request.content.splitlines()[0] == (
        b"anomaly_score,for=hosts,instance=web-1,model_alias=default,monitor=hosts,scheduler_alias=minutely "
        b"value=0.3111111111111111 1714521660000"
    )


def test_lines_of_samples() -> None:
    """A line per sample, times in milliseconds, numbers in full; nothing for nothing."""
    samples = Samples.of(
        [(("__name__", "y"), ("a", "b c"))], np.array([1, 2, 3]), np.array([[1e-300, np.nan, -123456789.123456789]])
    )
    assert line_protocol(samples) == b"y,a=b\\ c value=1e-300 1\ny,a=b\\ c value=-123456789.12345679 3"
    assert line_protocol(Samples.join([])) == b""


def test_what_does_not_fit_the_version_is_refused() -> None:
    """Missing keys, keys without effect, and credentials given twice are errors that name them."""
    for config, words in (
        ({"version": 1}, "InfluxDB 1 needs `database`"),
        ({"version": 1, "database": "d", "token": "t"}, "`token` has no effect with `version: 1`"),
        ({"version": 2, "bucket": "b"}, "InfluxDB 2 needs `org`"),
        ({"version": 2, "org": "o", "bucket": "b", "database": "d"}, "`database` has no effect"),
        ({"version": 3, "database": "d", "retention_policy": "r"}, "`retention_policy` has no effect"),
        ({"version": 3, "database": "d", "token": "t", "basic_auth": {"username": "u"}}, "keep one"),
        ({"version": 4, "database": "d"}, "version"),
    ):
        with pytest.raises(ValidationError, match=words):
            InfluxWriter.Config.model_validate({"url": "http://h:8086", **config})
