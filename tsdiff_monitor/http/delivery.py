"""Requests of notifiers: one try each, with outcomes as :class:`~tsdiff_monitor.errors.DeliveryError`.

Trying again is the host's business. Reasons and what is recoverable: :mod:`tsdiff_monitor.http.failure`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import httpx
from pydantic import SecretStr

from tsdiff_monitor.errors import ConfigError, DeliveryError
from tsdiff_monitor.http.address import parse_url
from tsdiff_monitor.http.client import HttpClient, HttpContext, HttpFailure, HttpResponse
from tsdiff_monitor.http.options import ConnectionOptions, ServerOptions, fits_header
from tsdiff_monitor.settings.secrets import resolve_secret

__all__ = ["READ_LIMIT", "DeliveryClient"]

READ_LIMIT = 1 << 16
"""Bytes of an answer that are read unless the caller asks for another number."""

_CREDENTIALS = "check the credentials"
_REFUSED = "the request was refused"
_REMEDIES = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "check the path of `url`", 413: _REFUSED, 429: ""}


class DeliveryClient:
    """Sends a notifier's requests. ``kind`` (``webhook``) and the notifier's name open each message of an error."""

    def __init__(
        self,
        options: ConnectionOptions,
        context: HttpContext,
        *,
        kind: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``monotonic`` (seconds) times the deadline, ``options.timeout`` for each request as a whole."""
        self._where = f"{kind} {context.name!r}"
        self._client = HttpClient(None, options, context, monotonic=monotonic)
        self._remedies = _REMEDIES
        if isinstance(options, ServerOptions):
            self._remedies = {**_REMEDIES, **dict.fromkeys((401, 403), "check `basic_auth` or `authorization`")}

    def __repr__(self) -> str:
        return f"DeliveryClient({self._where})"

    def send(
        self,
        method: str,
        url: httpx.URL,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        read: int = READ_LIMIT,
        remedies: Mapping[int, str] | None = None,
        secrets: Collection[str] = (),
    ) -> HttpResponse:
        """Send one request, with JSON as its body unless ``headers`` say otherwise; ``params`` go behind ``?``.

        Raises :class:`DeliveryError` for statuses other than 2xx and those in ``accept``, for connections that fail and
        for exchanges that outlast the deadline. At most ``read`` bytes of the answer are read. ``remedies``: what the
        user can do about a status. ``secrets`` and what is behind the host in ``url`` are never shown.
        """
        try:
            return self._client.send(
                method,
                url,
                params=params,
                content=content,
                headers={"Content-Type": "application/json", **(headers or {})},
                accept=lambda status: 200 <= status < 300 or status in accept,
                remedies={**self._remedies, **(remedies or {})},
                secrets=secrets,
                read=read,
            )
        except HttpFailure as failure:
            raise failure.delivery_error(self._where) from failure.__cause__

    def close(self) -> None:
        """Close the connections that are kept open between requests; safe to call twice."""
        self._client.close()

    def failure(
        self, message: str, reason: str, *, recoverable: bool = True, retry_after: float | None = None
    ) -> DeliveryError:
        """A :class:`DeliveryError` that says which notifier it is about."""
        message = f"{self._where}: {message}"
        return DeliveryError(message, recoverable=recoverable, reason=reason, retry_after=retry_after)

    def resolved(self, value: SecretStr | None, file: Path | None) -> str | None:
        """A secret in clear text, or None. Raises :class:`DeliveryError` when its file cannot be read now."""
        try:
            return resolve_secret(value, file)
        except ConfigError as error:  # the file may be back, or be corrected, at the next try
            raise self.failure(str(error), "config") from error

    def address(self, value: SecretStr | None, file: Path | None = None) -> httpx.URL:
        """The address given as a value or by file. Raises :class:`DeliveryError` when the file holds none."""
        url = parse_url(self.resolved(value, file) or "")
        if url is None:
            raise self.failure(f"{file} holds no address like https://host/path", "config")
        return url

    def header_value(self, secret: str, key: str) -> str:
        """``secret`` as it is. Raises :class:`DeliveryError` naming ``key`` when no header can carry it."""
        if not fits_header(secret):
            raise self.failure(f"{key} must be one line of printable ASCII", "config")
        return secret
