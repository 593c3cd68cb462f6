"""The servers that other tests stand on: they start, hold what they are given, and misbehave on request."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy

from tests.connectors.conftest import PrometheusServer, SecureServer
from tests.servers.faults import FaultProxy
from tests.servers.process import Process, find_program

HISTORY = '# TYPE backfilled gauge\nbackfilled{a="x"} 1.5 1609459200\nbackfilled{a="x"} 2.5 1609459260\n# EOF\n'
SCRIPT = Path(__file__).parents[2] / "scripts" / "install-services.sh"
Proxy = Callable[[str], FaultProxy]


def values(url: str, query: str, at: float | None = None) -> list[str]:
    """An instant query's values."""
    time_of = {} if at is None else {"time": at}
    answer = httpx.get(f"{url}/api/v1/query", params={"query": query, **time_of}).raise_for_status().json()
    return [one["value"][1] for one in answer["data"]["result"]]


def test_prometheus_holds_its_history(prometheus_server: PrometheusServer) -> None:
    """Backfilled samples are there, at their times, as soon as the server is ready; equal servers are shared."""
    url = prometheus_server(history=HISTORY)
    assert values(url, "backfilled", at=1609459210) == ["1.5"]
    assert values(url, "backfilled", at=1609459260) == ["2.5"]
    assert prometheus_server(history=HISTORY) == url
    assert prometheus_server(history=HISTORY, fresh=True) != url


def test_prometheus_scrapes_a_real_exporter(prometheus_server: PrometheusServer, exporter: str) -> None:
    """The exporter's metrics arrive within seconds."""
    url = prometheus_server(scrape=[exporter])
    limit = time.monotonic() + 10
    while values(url, "node_load1") == [] and time.monotonic() < limit:
        time.sleep(0.05)
    assert len(values(url, "node_load1")) == 1
    assert values(url, 'up{job="job0"}') == ["1"]


@pytest.mark.parametrize("mutual", [False, True])
def test_secure_prometheus_keeps_strangers_out(secure_prometheus: SecureServer, mutual: bool) -> None:
    """Without password it answers 401, and one that asks for certificates answers nothing without one."""
    server = secure_prometheus(mutual=mutual)
    with httpx.Client(verify=False, auth=(server.username, server.password)) as insecure:
        if mutual:
            with pytest.raises(httpx.TransportError):
                insecure.get(server.url)
        else:
            assert insecure.get(server.url, auth=("robot", "wrong")).status_code == 401
            assert insecure.get(f"{server.url}/-/ready").status_code == 200


def test_victoria_metrics_shows_what_it_is_given(victoria_server: str) -> None:
    """An imported sample can be queried as soon as it is flushed."""
    line = b"servers_imported 3 1704067200000\n"
    assert httpx.post(f"{victoria_server}/api/v1/import/prometheus", content=line).status_code == 204
    httpx.get(f"{victoria_server}/internal/force_flush")
    assert values(victoria_server, "servers_imported", at=1704067210) == ["3"]


def test_influxdb_stores_points(influx1_server: str) -> None:
    """A written point comes back."""
    query = f"{influx1_server}/query"
    httpx.post(query, params={"q": 'CREATE DATABASE "servers"'}).raise_for_status()
    written = httpx.post(f"{influx1_server}/write", params={"db": "servers"}, content=b"m,host=a v=1.5 1000000000")
    assert written.status_code == 204
    answer = httpx.post(query, params={"q": "SELECT v FROM m", "db": "servers", "epoch": "s"}).json()
    assert answer["results"][0]["series"][0]["values"] == [[1, 1.5]]


def test_postgresql_lets_in_with_its_password_only(postgres_server: str) -> None:
    """The address given to tests works; with another password it does not."""
    engine = sqlalchemy.create_engine(postgres_server)
    with engine.connect() as connection:
        assert connection.scalar(sqlalchemy.text("SELECT 1 + 1")) == 2
    engine.dispose()
    wrong = sqlalchemy.create_engine(sqlalchemy.make_url(postgres_server).set(password="wrong"))
    with pytest.raises(sqlalchemy.exc.OperationalError, match="password"), wrong.connect():
        pass


@pytest.mark.parametrize("required", ["", "1"])
def test_missing_program_skips_by_name_or_fails(required: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that is not there is named with its package; where services are required that is a failure."""
    monkeypatch.setenv("REQUIRE_SERVICES", required)
    outcome = pytest.fail.Exception if required else pytest.skip.Exception
    with pytest.raises(outcome, match="no-such-server is not installed: apt-get install its-package, or make services"):
        find_program("no-such-server", "its-package")


def test_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    """The failure holds the server's own words, and no process is left."""
    command = ["/bin/sh", "-c", "echo the disk is on fire; exit 3"]
    with pytest.raises(pytest.fail.Exception, match=r"ended with 3:\nthe disk is on fire"):
        Process("http://127.0.0.1:1", command, tmp_path, lambda: False)


def test_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    """Stopping ends a server in any case, by its pid."""
    script = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    server = Process("", ["/bin/sh", "-c", script], tmp_path, lambda: "up" in (tmp_path / "server.log").read_text())
    server.stop(limit=0.2)
    assert subprocess.run(["/bin/kill", "-0", str(server.pid)], capture_output=True).returncode != 0


class TestInstallScript:
    """scripts/install-services.sh on machines that have all servers, or no way to get them."""

    PROGRAMS = (
        "prometheus promtool prometheus-node-exporter prometheus-alertmanager victoria-metrics influxd influx "
        "initdb postgres"
    )

    def run(self, folder: Path, programs: str) -> subprocess.CompletedProcess[str]:
        """The script where only ``programs`` and a few tools are in PATH."""
        for name in ("bash", "tr", "id", "env"):
            (folder / name).symlink_to(str(shutil.which(name)))
        for name in programs.split():
            (folder / name).write_text("#!/bin/sh\nexit 1\n")
            (folder / name).chmod(0o755)
        environ = {**os.environ, "PATH": str(folder)}
        return subprocess.run([SCRIPT], env=environ, capture_output=True, text=True, timeout=20)

    def test_all_there(self, tmp_path: Path) -> None:
        """Nothing is called, and the script says that there is nothing to do."""
        done = self.run(tmp_path, self.PROGRAMS)
        assert (done.returncode, done.stdout) == (0, "install-services: all servers are installed already\n")

    def test_no_way_to_install(self, tmp_path: Path) -> None:
        """Each missing package is named, and that there is no apt-get."""
        done = self.run(tmp_path, self.PROGRAMS.replace("promtool ", "").replace("influxd", ""))
        assert done.returncode == 1
        assert "to be installed: prometheus influxdb\n" in done.stdout
        assert "no apt-get" in done.stdout


class TestFaultProxy:
    """Each fault looks to a client as the real one would."""

    @pytest.fixture
    def proxy(self, prometheus_server: PrometheusServer, fault_proxy: Proxy) -> FaultProxy:
        return fault_proxy(prometheus_server())

    def get(self, proxy: FaultProxy) -> httpx.Response:
        return httpx.get(f"{proxy.url}/-/ready", timeout=1)

    def test_passes_on(self, proxy: FaultProxy) -> None:
        """Without a fault the server's answer comes through, again and again."""
        with httpx.Client() as client:
            assert [client.get(f"{proxy.url}/-/ready").status_code for _ in range(3)] == [200, 200, 200]
        assert len(proxy.requests) == 3
        assert proxy.requests[0].startswith(b"GET /-/ready HTTP/1.1")

    def test_passes_on_https(self, secure_prometheus: SecureServer, fault_proxy: Proxy) -> None:
        """In front of TLS the bytes come through, and a cut is a cut."""
        server = secure_prometheus()
        proxy = fault_proxy(server.url)
        with httpx.Client(verify=False, auth=(server.username, server.password)) as client:
            assert client.get(f"{proxy.url}/-/ready").status_code == 200
            proxy.fault(cut_after=100)
        with httpx.Client(verify=False) as client, pytest.raises(httpx.TransportError):
            client.get(f"{proxy.url}/-/ready")

    def test_answers_by_itself_for_a_while(self, proxy: FaultProxy) -> None:
        """A status with its headers and body, as often as asked; then the server is back."""
        proxy.fault(status=429, headers={"Retry-After": "7"}, body=b"slowly", times=2)
        answers = [self.get(proxy) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [429, 429, 200]
        assert (answers[0].headers["Retry-After"], answers[0].content) == ("7", b"slowly")

    @pytest.mark.parametrize(
        ("fault", "error"),
        [
            ({"reset": True}, httpx.ReadError),
            ({"cut_after": 150}, httpx.RemoteProtocolError),
            ({"reset_after": 150}, httpx.ReadError),
            ({"raw": b"SSH-2.0-OpenSSH_9.2\r\n"}, httpx.RemoteProtocolError),
            ({"silent": True}, httpx.ReadTimeout),
            ({"latency": 5.0}, httpx.ReadTimeout),
        ],
    )
    def test_breaks_the_answer(self, proxy: FaultProxy, fault: dict[str, object], error: type[Exception]) -> None:
        """Reset, cut mid-body, reset mid-body, garbage, silence, latency; and healed it works again."""
        proxy.fault(**fault)
        with pytest.raises(error):
            self.get(proxy)
        proxy.heal()
        assert self.get(proxy).status_code == 200

    def test_drips(self, proxy: FaultProxy) -> None:
        """The answer comes whole, byte by byte, slower than any read's time-out would notice."""
        proxy.fault(drip=0.001, drip_size=4)
        begin = time.monotonic()
        assert self.get(proxy).status_code == 200
        assert time.monotonic() - begin > 0.02
