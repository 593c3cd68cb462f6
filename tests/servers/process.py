"""Starts a server, waits until it answers, ends it by its pid; says which program is missing."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

__all__ = ["Process", "answers", "find_program", "free_port"]

_START_LIMIT, _POLL, _STOP_LIMIT = 20.0, 0.02, 5.0  # seconds


def find_program(name: str, package: str, *, folders: Sequence[Path] = ()) -> Path:
    """The path of ``name``. Missing, it skips the test, or fails it when ``REQUIRE_SERVICES=1``."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders), "/usr/sbin", "/usr/local/bin"])
    found = shutil.which(name, path=path)
    if found is not None:
        return Path(found)
    said = f"{name} is not installed: apt-get install {package}, or make services"
    if os.environ.get("REQUIRE_SERVICES") == "1":
        pytest.fail(said, pytrace=False)
    pytest.skip(said)


def free_port() -> int:
    """A port of 127.0.0.1 that no one listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def answers(url: str, status: int = 200, **options: Any) -> Callable[[], bool]:
    """True if ``url`` answers with ``status``; ``options`` are those of :class:`httpx.Client`."""
    options = {"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "trust_env": False, "timeout": 5, **options}

    def check() -> bool:
        with suppress(httpx.TransportError), httpx.Client(**options) as client:
            return client.get(url).status_code == status
        return False

    return check


class Process:
    """A running server: ``url``, and how to end it."""

    def __init__(
        self,
        url: str,
        command: Sequence[str | Path],
        folder: Path,
        ready: Callable[[], bool],
        *,
        user: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``command`` in ``folder`` (its output goes to ``server.log`` there) and wait until it is ready."""
        self.url = url
        self._log = folder / "server.log"
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(
                [str(part) for part in command],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=user,
                extra_groups=None if user is None else (),
                env={**os.environ, **(environ or {})},
            )
        try:
            self._wait(ready)
        except BaseException:
            self.kill()
            raise

    @property
    def pid(self) -> int:
        """The process, to look at its memory."""
        return self._child.pid

    @property
    def log(self) -> str:
        """The server's output so far."""
        return self._log.read_text(errors="replace")

    def stop(self, limit: float = _STOP_LIMIT) -> None:
        """SIGTERM, and SIGKILL after ``limit`` seconds. Safe to call twice."""
        self._child.terminate()
        try:
            self._child.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL: how a server dies in the middle of an answer. Safe to call twice."""
        self._child.kill()
        self._child.wait()

    def _wait(self, ready: Callable[[], bool]) -> None:
        limit = time.monotonic() + _START_LIMIT
        while not ready():
            if self._child.poll() is not None:
                pytest.fail(
                    f"{self._child.args} ended with {self._child.returncode}:\n{self.log[-3000:]}", pytrace=False
                )
            if time.monotonic() > limit:
                pytest.fail(
                    f"{self._child.args} is not ready after {_START_LIMIT:g} s:\n{self.log[-3000:]}", pytrace=False
                )
            time.sleep(_POLL)
