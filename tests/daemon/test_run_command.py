"""``tsdiff-monitor run`` as a real process, on the simulator and the real clock."""

from __future__ import annotations

import itertools
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
import yaml

from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_change

GROUP = (("service", "gateway"),)


class Process:
    """One life of the daemon; its log goes to a file."""

    def __init__(self, config: Path, log: Path, *options: str) -> None:
        self._log = log
        command = [sys.executable, "-m", "tsdiff_monitor", "run", "--config.file", str(config), *options]
        with log.open("w") as stderr:
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr)

    @property
    def log(self) -> str:
        return self._log.read_text()

    def address(self) -> str:
        assert self.eventually(lambda: "listening on" in self.log), self.log
        found = re.search(r"address=(http://\S+)", self.log)
        assert found is not None
        return found[1]

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.address() + path, timeout=30)

    def ready(self) -> bool:
        return self.get("/-/ready").status_code == 200

    def events(self) -> list[dict[str, Any]]:
        return self.get("/api/v1/events").json()["data"]

    def eventually(self, condition: Callable[[], bool], seconds: float = 120.0) -> bool:
        """True if the condition comes true in time, while the process lives."""
        end = time.monotonic() + seconds
        pause = threading.Event()
        while time.monotonic() < end and self._process.poll() is None:
            if condition():
                return True
            pause.wait(0.1)
        return False

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self) -> int:
        return self._process.wait(60)

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(60)


Start = Callable[..., Process]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A fleet of one service, a row a second, an incident every 20 seconds from now on, for a quarter of an hour."""
    replay = datetime.now(UTC) + timedelta(seconds=5)
    incidents = [
        {"kind": "cpu_saturation", "service": "gateway", "after": f"{after}s", "lasts": "8s", "severity": 3}
        for after in range(0, 880, 20)
    ]
    document = {
        "settings": {"storage_path": str(tmp_path / "data"), "web": {"listen_address": "127.0.0.1:0"}},
        "readers": {
            "fleet": {
                "type": "simulator",
                "step": "1s",
                "services": 1,
                "start": (replay - timedelta(hours=1)).isoformat(),
                "history": "1h",
                "replay": "15m",
                "incidents": incidents,
            }
        },
        "models": {"default": {"window": 16, "width": 32, "layers": 1, "fit_steps": 20, "fit_window": "10m"}},
        "schedulers": {"fast": {"infer_every": "1s", "fit_every": "1d", "offset": "0s"}},
        "monitors": {
            "hosts": {
                "reader": "fleet",
                "scheduler": "fast",
                "step": "1s",
                "groupby": ["service"],
                "alarms_per_week": 1000.0,
                "queries": {"all": "*"},
                "notify": ["inbox"],
                "write": ["scores"],
                "events": {"cooldown": "1s", "resolve_rows": 2, "flap_limit": None},
            }
        },
        "writers": {"scores": {"type": "files", "path": str(tmp_path / "scores"), "format": "csv"}},
        "notifiers": {"inbox": {"type": "console", "style": "json"}},
    }
    path = tmp_path / "monitor.yml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def start(tmp_path: Path, config: Path) -> Iterator[Start]:
    lives: list[Process] = []

    def make(*options: str) -> Process:
        lives.append(Process(config, tmp_path / f"life-{len(lives)}.log", *options))
        return lives[-1]

    yield make
    for life in lives:
        life.kill()


def scored_seconds(folder: Path) -> list[int]:
    """The times of all rows written, sorted."""
    tables = [pd.read_csv(path) for path in (folder / "scores").rglob("*.csv")]
    return sorted(pd.concat(tables)["t"].astype("int64"))


def test_from_start_to_kill_to_restart_to_stop(tmp_path: Path, start: Start) -> None:
    """It becomes ready, reports events, and survives ``kill -9``: the next life scores on from the last row.

    No row is left out or scored twice, no event doubled, and every delivery made in the end. SIGTERM ends it with 0.
    """
    first = start()
    assert first.eventually(first.ready), first.log
    shown = first.get("/metrics").text
    for metric in ("tsdiff_build_info", 'tsdiff_outbox_dead{notifier="inbox"} 0.0', "tsdiff_delivery_circuit_open"):
        assert metric in shown
    assert first.eventually(lambda: bool(first.events())), first.log
    first.kill()

    with Store(tmp_path / "data" / "state.sqlite") as store:
        killed_at = store.group_state("hosts", GROUP).last_scored
        before = {event.id for event in store.events()}
        assert killed_at is not None
    second = start()

    def caught_up() -> bool:
        return any(pd.Timestamp(event["start"]) > killed_at for event in second.events())

    assert second.eventually(second.ready), second.log
    assert second.eventually(caught_up), second.log
    second.send(signal.SIGTERM)
    assert second.wait() == 0, second.log
    assert re.search(r"msg=stopping signal=SIGTERM(.|\n)*msg=stopped", second.log)
    assert "level=error" not in first.log + second.log

    rows = scored_seconds(tmp_path)
    assert rows == list(range(rows[0], rows[0] + len(rows)))
    assert not list((tmp_path / "data").glob("*-wal"))  # closed in order
    with Store(tmp_path / "data" / "state.sqlite") as store:
        assert rows[-1] == store.group_state("hosts", GROUP).last_scored.timestamp()
        events = sorted(store.events(), key=lambda event: event.start)
        assert before <= {event.id for event in events}
        for earlier, later in itertools.pairwise(events):
            assert earlier.end is not None
            assert earlier.end <= later.start
        assert store.counts()["pending"] == 0
        assert store.counts()["dead"] == 0


def test_a_taken_port_is_reported_before_anything_is_touched(tmp_path: Path, start: Start) -> None:
    """A second start on the same port ends with a message and exit code 1, and leaves the storage path alone."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        process = start("--web.listen-address", address)
        assert process.wait() == 1
    assert f"cannot listen on {address}: another process has this port" in process.log
    assert "Traceback" not in process.log
    assert not (tmp_path / "data").exists()


def test_a_bad_address_option_is_named(start: Start) -> None:
    """A mistake on the command line is reported by the option's name."""
    process = start("--web.listen-address", "8490")
    assert process.wait() == 1
    assert "--web.listen-address: has no host" in process.log


@pytest.mark.parametrize(("second", "code"), [(signal.SIGINT, 130), (None, 0)])
def test_what_hangs_does_not_keep_it_from_ending(
    tmp_path: Path, start: Start, config: Path, second: signal.Signals | None, code: int
) -> None:
    """A delivery that gets no answer is left behind after the deadline, or at once by a second signal; it stays due."""
    with socket.create_server(("127.0.0.1", 0)) as silent, Store(tmp_path / "data" / "state.sqlite") as store:
        store.commit("other", (), None, None, [example_change(sequence=1)], ["inbox"])
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        document = yaml.safe_load(config.read_text())
        document["notifiers"]["inbox"] = {"type": "webhook", "url": url, "timeout": "10m"}
        config.write_text(yaml.safe_dump(document))
        process = start()
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            process.send(signal.SIGTERM)
            assert process.eventually(lambda: "msg=stopping" in process.log), process.log
            if second is not None:
                threading.Event().wait(1)  # less would count as the same request, received twice
                process.send(second)
            assert process.wait() == code, process.log
        assert ("left behind" in process.log) == (second is None)
        assert store.counts()["pending"] >= 1
