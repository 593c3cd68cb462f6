"""One attempt at one HTTP request of a notifier, and what its outcome means; retrying is the host's business.

=============== ================================================== ===========
reason          what happened                                      recoverable
=============== ================================================== ===========
timeout         no connection or no answer in time; status 408     yes
connect         refused, reset, cut off, unknown host              yes
tls             certificates do not fit                            yes
rate_limited    429                                                yes
server_error    5xx                                                yes
client_error    425                                                yes
client_error    any other 4xx                                      no
redirect        3xx: redirects are never followed                  no
config          a secret's or certificate's file cannot be used    yes
=============== ================================================== ===========
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

import tsdiff_monitor
from tsdiff_alerts.http_options import HttpOptions, ServerOptions, parsed
from tsdiff_alerts.tls import Material, make_context, read_material, tls_words
from tsdiff_monitor.errors import ConfigError, DeliveryError
from tsdiff_monitor.http.options import fits_header
from tsdiff_monitor.http.retry_after import retry_after
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.settings.secrets import resolve_secret

__all__ = ["Answer", "HttpSender", "retry_after", "safe_url"]

READ_LIMIT = 1 << 16
"""Bytes of an answer that are read unless the caller asks for another number."""

_RETRIED = {408: "timeout", 425: "client_error", 429: "rate_limited"}
_REMEDIES = {401: "check the credentials", 403: "check the credentials", 404: "check the path of `url`"}


@dataclass(frozen=True)
class Answer:
    """A service's answer; ``body`` may be cut off."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body's JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The body as text, damaged bytes replaced."""
        return self.body.decode("utf-8", "replace").strip()


class HttpSender:
    """Sends a notifier's requests. ``kind`` (``webhook``) and the notifier's name open each message of an error."""

    def __init__(
        self, options: HttpOptions, context: Context, *, kind: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._context = context
        self._kind = kind
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._client: tuple[Material, httpx.Client] | None = None
        self._retired: httpx.Client | None = None

    def __repr__(self) -> str:
        return f"HttpSender({self._kind}, {self._context.name!r})"

    def send(
        self,
        method: str,
        url: httpx.URL,
        *,
        content: bytes = b"",
        headers: Mapping[str, str] | None = None,
        accept: Collection[int] = (),
        read: int = READ_LIMIT,
        remedies: Mapping[int, str] | None = None,
    ) -> Answer:
        """Send one request, with JSON as its body unless ``headers`` say otherwise, and judge the answer.

        Statuses other than 2xx and those in ``accept`` raise :class:`DeliveryError`, as do failing connections. At most
        ``read`` bytes of the answer are read. ``remedies``: what the user can do about a status.
        """
        sent = httpx.Headers(
            {"Content-Type": "application/json", "User-Agent": f"tsdiff-monitor/{tsdiff_monitor.__version__}"}
        )
        sent.update(self._credentials())  # in any case of letters: a header is sent once
        sent.update(headers)
        name = self._options.tls_config.server_name
        extensions = {} if name is None else {"sni_hostname": name}
        client = self._current_client()
        try:
            with client.stream(method, url, content=content, headers=sent, extensions=extensions) as response:
                if not 200 <= response.status_code < 300 and response.status_code not in accept:
                    raise self._refusal(response, url, remedies or {})
                return Answer(response.status_code, response.headers, self._body(response, read))
        except httpx.TimeoutException as error:
            wait = format_duration(self._options.timeout)
            raise self.failure(f"{safe_url(url)} did not answer within {wait}", "timeout") from error
        except httpx.HTTPError as error:
            if said := tls_words(error):
                raise self.failure(f"no secure connection to {safe_url(url)}: {said}", "tls") from error
            raise self.failure(f"cannot reach {safe_url(url)} ({type(error).__name__})", "connect") from error

    def close(self) -> None:
        """Close the connections that are kept open between requests; safe to call twice."""
        with self._lock:
            current = None if self._client is None else self._client[1]
            for client in (current, self._retired):
                if client is not None:
                    client.close()
            self._client = self._retired = None

    def failure(
        self, message: str, reason: str, *, recoverable: bool = True, retry_after: float | None = None
    ) -> DeliveryError:
        """A :class:`DeliveryError` that says which notifier it is about."""
        message = f"{self._kind} {self._context.name!r}: {message}"
        return DeliveryError(message, recoverable=recoverable, reason=reason, retry_after=retry_after)

    def resolved(self, value: SecretStr | None, file: Path | None) -> str | None:
        """A secret in clear text, or None. Raises :class:`DeliveryError` when its file cannot be read now."""
        try:
            return resolve_secret(value, file)
        except ConfigError as error:  # the file may be back, or be mended, at the next try
            raise self.failure(str(error), "config") from error

    def address(self, value: SecretStr | None, file: Path | None) -> httpx.URL:
        """The address given as a value or by file. Raises :class:`DeliveryError` when the file holds none."""
        url = parsed(self.resolved(value, file) or "")
        if url is None:
            raise self.failure(f"{file} holds no address like https://host/path", "config")
        return url

    def _current_client(self) -> httpx.Client:
        """The client for the certificates as they are now: a rotation takes effect without a restart."""
        given = self._context.transport
        try:
            material = () if given is not None else read_material(self._options.tls_config)
            with self._lock:
                if self._client is None or self._client[0] != material:
                    client = self._new_client(given)
                    if self._retired is not None:
                        self._retired.close()
                    if self._client is not None:
                        self._retired = self._client[1]  # not closed yet: another thread may still be using it
                    self._client = (material, client)
                return self._client[1]
        except ValueError as error:
            raise self.failure(str(error), "config") from None

    def _new_client(self, given: httpx.BaseTransport | None) -> httpx.Client:
        timeout, proxy = self._options.timeout.total_seconds(), self._options.proxy_url
        if given is not None:
            return httpx.Client(transport=given, timeout=timeout)
        through = None if proxy is None else proxy.get_secret_value().strip()
        return httpx.Client(
            verify=make_context(self._options.tls_config), proxy=through, timeout=timeout, trust_env=False
        )

    def _credentials(self) -> dict[str, str]:
        """The headers that the user gave, by whichever keys the options have."""
        options = self._options
        if not isinstance(options, ServerOptions):
            return {}
        headers = {name: value.get_secret_value() for name, value in options.http_headers.items()}
        if options.basic_auth is not None:
            password = self.resolved(options.basic_auth.password, options.basic_auth.password_file) or ""
            encoded = base64.b64encode(f"{options.basic_auth.username}:{password}".encode()).decode("ascii")
            headers["Authorization"] = f"Basic {encoded}"
        if options.authorization is not None:
            token = self.resolved(options.authorization.credentials, options.authorization.credentials_file) or ""
            headers["Authorization"] = f"{options.authorization.type} {self.header_value(token, '`authorization`')}"
        return headers

    def header_value(self, secret: str, key: str) -> str:
        """``secret`` as it is. Raises :class:`DeliveryError` naming ``key`` when no header can carry it."""
        if not fits_header(secret):
            raise self.failure(f"{key} must be one line of printable ASCII", "config")
        return secret

    def _refusal(self, response: httpx.Response, url: httpx.URL, remedies: Mapping[int, str]) -> DeliveryError:
        status = response.status_code
        said = f"{safe_url(url)} answered {status} {response.reason_phrase}".rstrip()
        if status in _RETRIED or status >= 500:
            wait = retry_after(response.headers.get("Retry-After"), self._context.now())
            return self.failure(said, _RETRIED.get(status, "server_error"), retry_after=wait)
        if 300 <= status < 400:
            said += "; redirects are not followed: put the final address into `url`"
            return self.failure(said, "redirect", recoverable=False)
        said += f"; {remedies.get(status) or _REMEDIES.get(status, 'the request was refused')}"
        return self.failure(said, "client_error", recoverable=False)

    def _body(self, response: httpx.Response, limit: int) -> bytes:
        """What comes of the body in time: the status has said already whether the request was taken."""
        body, deadline = b"", self._monotonic() + self._options.timeout.total_seconds()
        try:
            for piece in response.iter_bytes() if limit else ():
                body += piece
                if len(body) >= limit or self._monotonic() >= deadline:
                    break
        except httpx.HTTPError:
            pass
        return body[:limit]


def safe_url(url: httpx.URL) -> str:
    """Scheme, host and port: the parts of an address that are no secret."""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}" + (f":{url.port}" if url.port else "")
