"""VictoriaMetrics, InfluxDB 1.6 and PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from pwd import getpwnam

from tests.servers.process import Process, answers, find_program, free_port

__all__ = ["Postgres", "start_influx1", "start_postgres", "start_victoria"]


def start_victoria(folder: Path, *, flags: Sequence[str] = ()) -> Process:
    """Start VictoriaMetrics; new samples are visible at once, and answers are not cached."""
    program = find_program("victoria-metrics", "victoria-metrics")
    url = f"http://127.0.0.1:{(port := free_port())}"
    command = [
        program,
        f"-storageDataPath={folder / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=100y",
        "-search.latencyOffset=0s",
        "-search.disableCache",
        *flags,
    ]
    return Process(url, command, folder, answers(f"{url}/health"))


def start_influx1(folder: Path, *, http: Mapping[str, object] | None = None) -> Process:
    """Start InfluxDB 1.6; ``http`` overrides keys of its ``[http]`` section, such as ``max-row-limit``."""
    program = find_program("influxd", "influxdb")
    url = f"http://127.0.0.1:{(port := free_port())}"
    section = {"bind-address": f"127.0.0.1:{port}", "log-enabled": False, **(http or {})}
    lines = [
        "reporting-disabled = true",
        f'bind-address = "127.0.0.1:{free_port()}"',
        f'[meta]\ndir = "{folder / "meta"}"',
        f'[data]\ndir = "{folder / "data"}"\nwal-dir = "{folder / "wal"}"\nquery-log-enabled = false',
        "[monitor]\nstore-enabled = false",
        "[http]",
        *(f"{key} = {_toml(value)}" for key, value in section.items()),
    ]
    (folder / "influxdb.conf").write_text("\n".join(lines) + "\n")
    return Process(url, [program, "-config", folder / "influxdb.conf"], folder, answers(f"{url}/ping", 204))


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, (bool, int)) else f'"{value}"'


class Postgres:
    """A running PostgreSQL; ``url`` is one for SQLAlchemy, with the password of its superuser."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.url = process.url
        self.pid = process.pid
        self.stop = process.stop
        self._folder = folder

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)


def start_postgres() -> Postgres:
    """Start PostgreSQL with an empty database ``postgres``; it refuses root, so another user runs it then.

    Its data lie in a folder of their own: those of pytest may be entered by the user of the tests alone.
    """
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    initdb, postgres = (find_program(name, "postgresql", folders=folders) for name in ("initdb", "postgres"))
    folder = Path(tempfile.mkdtemp(prefix="tsdiff-postgres-"))
    user = _other_user() if os.geteuid() == 0 else None
    try:
        (folder / "password").write_text("pg-password")
        if user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, user)
        data, port = folder / "data", free_port()
        command = [initdb, "-D", data, "-U", "tester", "-A", "scram-sha-256", f"--pwfile={folder / 'password'}"]
        command += ["--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run(command, check=True, capture_output=True, timeout=60, user=user, cwd=folder)
        url = f"postgresql+psycopg://tester:pg-password@127.0.0.1:{port}/postgres"
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        command = [postgres, "-D", data, *(part for k, v in options.items() for part in ("-c", f"{k}={v}"))]
        process = Process(url, command, folder, _listens(folder, port), user=user)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Postgres(process, folder)


def _listens(folder: Path, port: int) -> Callable[[], bool]:
    """The log says so before the port answers to logins, so both are looked at."""

    def check() -> bool:
        if "ready to accept connections" not in (folder / "server.log").read_text(errors="replace"):
            return False
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", port)) == 0

    return check


def _other_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            getpwnam(name)
        except KeyError:
            continue
        return name
    raise LookupError("PostgreSQL refuses to run as root, and there is no user postgres or nobody")
