"""Failures of an exchange with a server, each with a stable reason, in words without secrets.

=============== ============================================================= ===========
reason          failure                                                       recoverable
=============== ============================================================= ===========
timeout         no connection, no data or no end in time; status 408          yes
connect         refused, reset, cut off mid-answer, unknown host              yes
tls             certificates do not fit                                       yes
auth            401, 403; 407 from a proxy                                    no
rate_limited    429                                                           yes
server_error    5xx                                                           yes
client_error    any other 4xx (425 is recoverable)                            no
redirect        3xx that is not followed                                      no
too_large       more bytes than ``max_response_bytes``                        no
garbled         not HTTP, or damaged compression                              yes
config          a secret's or certificate's file cannot be used               yes
=============== ============================================================= ===========
"""

from __future__ import annotations

import re
from typing import Final

import httpx

from tsdiff_monitor.errors import DeliveryError, SourceError, WriteError
from tsdiff_monitor.http import tls
from tsdiff_monitor.http.retry_after import retry_after

__all__ = ["HttpFailure", "judge_status", "retry_after", "tls_words", "transport_reason"]

_FINAL: Final = frozenset({"auth", "client_error", "redirect", "too_large"})
_TOO_EARLY: Final = 425
_STATUSES: Final = {401: "auth", 403: "auth", 407: "auth", 408: "timeout", 429: "rate_limited"}
_REMEDIES: Final = {
    401: "check `basic_auth` or `authorization`",
    403: "these credentials may not do this; check `basic_auth` or `authorization`",
    404: "check the path of `url`",
    407: "put the proxy's user and password into `proxy_url`",
    413: "ask for less, or send less at once",
    429: "ask less often, or raise the server's limit",
}


class HttpFailure(Exception):  # noqa: N818 (not the error that a user sees: it becomes one)
    """An exchange that did not succeed; the connector turns it into an error of its own kind."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int | None = None,
        retry_after: float | None = None,
        body: str = "",
        retried: bool = False,
    ) -> None:
        self.message = message
        self.reason = reason
        """One stable word, to label a metric with; see the module's table."""
        self.status = status
        """The status that the server answered with; None where it did not."""
        self.recoverable = reason not in _FINAL or status == _TOO_EARLY
        """True where the same request may succeed later."""
        self.retry_after = retry_after
        """Seconds that the server asked to wait; None where it did not."""
        self.body = body
        """Text of the server's answer, without secrets, at most 2,000 characters."""
        self.retried = retried
        """True where the client itself tries again after it."""
        super().__init__(message)

    def source_error(self, where: str = "") -> SourceError:
        """The same as an error of a reader; ``where`` goes before the message."""
        return SourceError(_after(where, self.message), reason=self.reason, recoverable=self.recoverable)

    def write_error(self, where: str = "") -> WriteError:
        """The same as an error of a writer; ``where`` goes before the message."""
        return WriteError(_after(where, self.message), reason=self.reason, recoverable=self.recoverable)

    def delivery_error(self, where: str = "") -> DeliveryError:
        """The same as an error of a notifier; ``where`` goes before the message."""
        message = _after(where, self.message)
        wait = self.retry_after if self.recoverable else None
        return DeliveryError(message, recoverable=self.recoverable, reason=self.reason, retry_after=wait)


def judge_status(status: int) -> tuple[str, bool, str]:
    """Reason of a status that is no success, whether the client tries again, and what the user can do."""
    if status >= 500:
        return "server_error", True, ""
    if 300 <= status < 400:
        return "redirect", False, "put the final address into `url`, or set `follow_redirects: true`"
    reason = _STATUSES.get(status, "client_error")
    return reason, status == 429, _REMEDIES.get(status, "")


def transport_reason(error: httpx.TransportError) -> tuple[str, bool]:
    """Reason of a failure below HTTP, and whether the client tries again."""
    if isinstance(error, httpx.TimeoutException):
        # A server that is slow to answer is not helped by being asked again while it still computes.
        return "timeout", isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout))
    if tls.tls_error(error) is not None:
        return "tls", False
    if isinstance(error, httpx.ProxyError):
        return ("auth", False) if str(error).startswith("407") else ("connect", True)
    if isinstance(error, (httpx.RemoteProtocolError, httpx.LocalProtocolError)):
        cut = re.search(r"disconnected|peer closed|closed connection", str(error), re.IGNORECASE)
        return ("connect", True) if cut else ("garbled", False)
    return "connect", True


def tls_words(error: BaseException) -> str:
    """Description of a certificate problem and of the setting that fixes it; empty where TLS is not to blame."""
    port = "write http:// in `url`, or correct the port"
    return tls.tls_words(error, host="check the host in `url`", port=port)


def _after(where: str, message: str) -> str:
    return f"{where}: {message}" if where else message
