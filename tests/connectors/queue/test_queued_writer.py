"""Writing never waits for the target, and a restart goes on where the last run ended."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from structlog.testing import capture_logs

from tests.connectors.queue.test_bisecting import failure
from tests.connectors.queue.test_write_drain import FakeTarget
from tests.servers.process import find_program
from tsdiff_connectors.influxdb import InfluxWriter
from tsdiff_connectors.prometheus import RemoteWriter
from tsdiff_connectors.queue.samples import Samples
from tsdiff_connectors.queue.writer import QueuedWriter, WriterOptions
from tsdiff_connectors.victoriametrics import VictoriaWriter
from tsdiff_monitor.errors import WriteError
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.testing import FakeClock, WriterConformance, example_batch

PAGE = Path(__file__).parents[3] / "docs" / "writers.md"
NOW = 1_714_600_000.0
SAMPLES = 9 * (1 + 3 + 3) + 10 * 9
"""Of an example batch: the first row holds neither value nor score, but a band."""


def writer(target: FakeTarget, path: Path | None = None, now: float = NOW, **options: Any) -> QueuedWriter:
    """A writer to the target with its queue in this file."""
    config = WriterOptions.model_validate({"queue_path": path, "batch_send_deadline": "0s", **options})
    return QueuedWriter(config, Context(name="scores", now=FakeClock(now)), target)


@pytest.fixture
def target() -> FakeTarget:
    return FakeTarget()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.sqlite"


def test_what_is_written_arrives(target: FakeTarget, path: Path) -> None:
    """All finite samples of a batch are at the target when the writer is closed; counters say so."""
    one = writer(target, path)
    one.write(example_batch())
    one.close()
    one.close()
    assert len(target.rows) == SAMPLES
    assert target.closed == 2
    stats = one.stats()
    assert (stats["samples_written_total"], stats["queue_samples"], stats["send_failures_total"]) == (SAMPLES, 0, 0)


def test_writing_does_not_wait_for_the_target(target: FakeTarget, path: Path) -> None:
    """While a request hangs rows are taken as usual; they go out together once it is over."""
    hanging, release = threading.Event(), threading.Event()

    def hang(samples: Samples) -> None:
        hanging.set()
        release.wait(10)

    target.problem = hang
    one = writer(target, path)
    one.write(example_batch())
    assert hanging.wait(10)
    for hour in range(1, 10):
        one.write(example_batch(start=f"2024-05-01T0{hour}:00:00Z"))
    assert one.stats()["queue_samples"] == 10 * SAMPLES
    release.set()
    one.close()
    assert target.requests == [SAMPLES, 9 * SAMPLES]


def test_a_dead_target_is_no_error(target: FakeTarget, path: Path) -> None:
    """Rows wait on disk, also over a restart; closing does not wait for a target that is down."""
    target.problem = lambda samples: failure(None)
    first = writer(target, path)
    first.write(example_batch())
    with capture_logs() as logs:
        first.close()
    assert [log["they_are"] for log in logs if "they_are" in log] == ["kept for the next start"]
    target.problem = lambda samples: None
    second = writer(target, path)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    assert len(target.rows) == 2 * SAMPLES
    times = [time for labels, time, _ in target.rows if labels[0][1] == "anomaly_score"]
    assert times == sorted(set(times))
    assert len(times) == 18


def test_without_a_disk_what_is_lost_is_said(target: FakeTarget) -> None:
    """A queue in memory ends with the process."""
    target.problem = lambda samples: failure(None)
    one = writer(target)
    one.write(example_batch())
    with capture_logs() as logs:
        one.close()
    assert [(log["samples"], log["they_are"]) for log in logs if "they_are" in log] == [
        (SAMPLES, "lost: there is no queue on disk")
    ]


def test_the_hosts_folder_holds_the_queue(target: FakeTarget, tmp_path: Path) -> None:
    """Without `queue_path` the queue lies where the host says that this writer may keep things."""
    context = Context(now=FakeClock(NOW), storage=tmp_path / "writers" / "scores")
    one = QueuedWriter(WriterOptions(), context, target)
    one.write(example_batch())
    one.close()
    assert (tmp_path / "writers" / "scores" / "queue.sqlite").exists()


def test_rows_of_the_future_are_left_out(target: FakeTarget, path: Path) -> None:
    """A store that takes a future sample refuses everything until then: such rows are counted, not written."""
    middle = example_batch().frame.times[4].timestamp()
    one = writer(target, path, now=middle)
    one.write(example_batch())
    one.close()
    assert max(time for _, time, _ in target.rows) == middle * 1000
    assert one.stats()["samples_future_total"] == 5 * 16
    assert len(target.rows) + 5 * 16 == SAMPLES


def test_a_full_queue_drops_the_oldest_and_says_so(target: FakeTarget, path: Path) -> None:
    """Once an outage, not at every row; the newest rows are kept."""
    target.problem = lambda samples: failure(None)
    one = writer(target, path, queue_max_bytes=1024**2)
    with capture_logs() as logs:
        for hour in range(24):
            one.write(example_batch(50, start=f"2024-05-01T{hour:02}:00:00Z", names=[f"m{n}" for n in range(30)]))
    target.problem = lambda samples: None
    one.close()
    dropped = one.stats()["samples_dropped_total"]
    assert dropped > 0
    assert len([log for log in logs if "queue is full" in log["event"]]) == 1
    assert path.stat().st_size < 2 * 1024**2


def test_a_disk_that_takes_nothing_is_an_error(target: FakeTarget, tmp_path: Path) -> None:
    """Rows that cannot even be queued are reported to the host; the counters can still be asked for."""
    (tmp_path / "file").touch()
    one = writer(target, tmp_path / "file" / "queue.sqlite")
    with pytest.raises(WriteError, match=r"writer 'scores': .*choose another place") as caught:
        one.write(example_batch())
    assert (caught.value.reason, caught.value.recoverable) == ("queue", True)
    assert one.stats()["queue_samples"] == 0
    one.close()


def test_a_bug_does_not_end_the_writing(target: FakeTarget, path: Path) -> None:
    """An unexpected error is reported without its text, and the rows are tried again."""

    def broken(samples: Samples) -> None:
        target.problem = lambda samples: None
        seen.set()
        raise KeyError("a secret")

    seen = threading.Event()
    target.problem = broken
    with capture_logs() as logs:
        one = writer(target, path)
        one.write(example_batch())
        assert seen.wait(10)
        one.close()
    second = writer(target, path)
    second.write(example_batch(start="2024-05-01T00:10:00Z"))
    second.close()
    assert len(target.rows) == 2 * SAMPLES
    assert "secret" not in str(logs)


def test_options_that_do_not_fit_are_refused() -> None:
    """Unknown series, one named twice, labels that are no labels or ours."""
    wrong: list[dict[str, Any]] = [
        {"series": []},
        {"series": ["y", "y"]},
        {"series": ["z"]},
        {"labels": {"a-b": "x"}},
        {"labels": {"for": "x"}},
        {"labels": {"__name__": "x"}},
        {"queue_max_bytes": 1},
        {"give_up_after": "0s"},
    ]
    for options in wrong:
        with pytest.raises(ValidationError):
            WriterOptions.model_validate(options)


class MemoryTarget(FakeTarget):
    """Holds each sample once, as stores of series do."""

    def stored(self) -> dict[tuple[Any, int], float]:
        return {(labels, time): value for labels, time, value in self.rows}


class ExampleWriter(QueuedWriter):
    """A writer as the product has them."""

    class Config(WriterOptions):
        """Nothing of its own."""


class TestQueuedWriter(WriterConformance):
    """The promises of every writer."""

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> Iterator[None]:
        self.path, self.target = tmp_path / "queue.sqlite", MemoryTarget()
        (tmp_path / "file").touch()
        yield

    def make(self, path: Path | None = None) -> ExampleWriter:
        return ExampleWriter(ExampleWriter.Config(queue_path=path or self.path), Context(), self.target)

    def stored(self) -> Any:
        return self.target.stored()

    def broken(self) -> ExampleWriter:
        return self.make(self.path.with_name("file") / "queue.sqlite")


@pytest.mark.parametrize("kind", [RemoteWriter, VictoriaWriter, InfluxWriter])
def test_every_key_and_counter_is_documented(kind: type[QueuedWriter], target: FakeTarget, path: Path) -> None:
    """`docs/writers.md` has a row for each key that HTTP does not share, with its default, and for each counter."""
    page = PAGE.read_text()
    fields: dict[str, FieldInfo] = kind.Config.model_fields  # type: ignore[attr-defined]
    rows = [line for line in page.splitlines() if line.startswith("|")]
    for key in fields.keys() - HttpOptions.model_fields.keys():
        row = next((row for row in rows if f"`{key}`" in row.split("|")[1]), None)
        assert row is not None, f"{key} is not documented"
        default = fields[key].default
        if isinstance(default, (int, timedelta)):
            shown = format_duration(default) if isinstance(default, timedelta) else str(default)
            assert f"`{shown}`" in row.split("|")[2], f"the default of {key} is {shown}"
    one = writer(target, path)
    assert all(f"| `{name}` |" in page for name in one.stats())
    one.close()


def test_the_rules_in_the_documentation_are_good(tmp_path: Path) -> None:
    """promtool accepts the rules, and Prometheus' parser the queries."""
    promtool = find_program("promtool", "prometheus")
    page = PAGE.read_text()
    (rules,) = re.findall(r"```yaml\n(groups:.*?)```", page, re.DOTALL)
    (queries,) = re.findall(r"```promql\n(.*?)```", page, re.DOTALL)
    more = [{"record": f"q:{n}", "expr": query} for n, query in enumerate(queries.splitlines()) if query[0] != "#"]
    assert len(more) == 4
    given = yaml.safe_load(rules)
    given["groups"].append({"name": "queries", "rules": more})
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(given))
    done = subprocess.run([promtool, "check", "rules", tmp_path / "rules.yml"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
