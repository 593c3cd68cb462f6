"""Targets of redirects, and those that are not followed."""

from __future__ import annotations

import httpx

from tsdiff_monitor.http.address import safe_url
from tsdiff_monitor.http.exchange import Exchange

__all__ = ["MAX_REDIRECTS", "headers_for_strangers", "redirect_target"]

MAX_REDIRECTS = 5

_STATUSES = (301, 302, 303, 307, 308)
_PROTOCOL = ("accept", "accept-encoding", "content-type", "content-encoding", "x-prometheus-remote-write-version")


def redirect_target(exchange: Exchange, answer: httpx.Response, hop: int) -> httpx.URL | None:
    """The address to go on at; None when the answer is no redirect or redirects are not followed.

    Raises :class:`~tsdiff_monitor.http.failure.HttpFailure` (``redirect``) for one that leads nowhere, gives up
    the encryption, or would lose what was sent: after 301, 302 and 303 clients ask with GET, without the body.
    """
    status = answer.status_code
    if status not in _STATUSES or exchange.accept(status) or not exchange.follow_redirects:
        return None
    try:
        target = answer.request.url.join(answer.headers["Location"])
        target = target.copy_with(username=None, password=None, fragment=None)
        if target.scheme not in ("http", "https") or not target.host:
            raise ValueError
    except (KeyError, ValueError, httpx.InvalidURL):
        said = f"status {status} without an address to go to"
        raise exchange.failure(said, reason="redirect", status=status) from None
    said = f"status {status} redirects to {safe_url(target)}"
    if answer.request.url.scheme == "https" and target.scheme == "http":
        said += ", which is not encrypted; put an https:// address into `url`"
    elif status < 307 and exchange.method not in ("GET", "HEAD"):
        said += " in a way that loses what was sent; put the final address into `url`"
    elif hop == MAX_REDIRECTS:
        said += f", after {MAX_REDIRECTS} redirects; put the final address into `url`"
    else:
        return target
    raise exchange.failure(said, reason="redirect", status=status)


def headers_for_strangers(headers: dict[str, str]) -> dict[str, str]:
    """Headers that another host may see: they say how the request is written, not who sends it."""
    return {name: value for name, value in headers.items() if name.lower() in _PROTOCOL}
