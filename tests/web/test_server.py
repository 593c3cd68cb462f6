"""The HTTP server on a real socket."""

from __future__ import annotations

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tsdiff_monitor.errors import TsdiffError
from tsdiff_monitor.web.server import WebServer, listen

APP = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])


def test_port_0_takes_a_free_port_and_stopping_frees_it() -> None:
    """The address holds the real port; after the end no one answers there, and it can be taken again."""
    with listen("127.0.0.1", 0) as socket, WebServer(APP, socket) as web:
        assert not web.address.endswith(":0")
        assert httpx.get(web.address).text == "here"
    with pytest.raises(httpx.ConnectError):
        httpx.get(web.address)
    listen("127.0.0.1", int(web.address.rpartition(":")[2])).close()


def test_a_taken_port_is_a_clear_error() -> None:
    """The message names the address and says what to do."""
    with listen("127.0.0.1", 0) as socket:
        port = socket.getsockname()[1]
        with pytest.raises(TsdiffError, match=f"127.0.0.1:{port}: another process has this port: stop it, or set"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_a_clear_error(host: str) -> None:
    """So is an address that this machine does not have, or a name that no one knows."""
    with pytest.raises(TsdiffError, match=f"cannot listen on {host}:0: .*settings.web.listen_address"):
        listen(host, 0)
