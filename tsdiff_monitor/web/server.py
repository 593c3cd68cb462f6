"""The HTTP server: uvicorn in a thread, on a socket that is opened first, so that a taken port is a clear error.

https://www.uvicorn.org/settings/
"""

from __future__ import annotations

import errno
import socket
import threading
from types import TracebackType

import uvicorn
from starlette.types import ASGIApp

from tsdiff_monitor.errors import TsdiffError

__all__ = ["WebServer", "listen"]

_STOP_SECONDS = 2
_REMEDY = "set settings.web.listen_address or --web.listen-address"
_REMEDIES = {
    errno.EADDRINUSE: f"another process has this port: stop it, or {_REMEDY} to another port (0 takes a free one)",
    errno.EACCES: f"this user may not use this port: {_REMEDY} to one above 1023",
    errno.EADDRNOTAVAIL: f"this machine has no such address: {_REMEDY} to one of its own",
}


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises :class:`TsdiffError` that says how to fix it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0, f"check the host's name, or {_REMEDY}")
        reason = error.strerror if isinstance(error, socket.gaierror) else ""
        where = f"cannot listen on {_written(host, port)}"
        raise TsdiffError(f"{where}: {f'{reason}; ' if reason else ''}{remedy}") from error


class WebServer:
    """Serves ``app`` on ``listener`` within ``with``; leaving it answers the requests under way and closes."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        self._listener = listener
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=_STOP_SECONDS,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self.address = f"http://{_written(host, port)}"
        """Address at which it is reached, with the real port, also where a free one was asked for."""

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS + 1)

    def _serve(self) -> None:
        self._server.run(sockets=[self._listener])


def _written(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
