"""Posts an event's changes as JSON to any HTTP endpoint, signed where a secret is given.

The payload and how to verify the signature are documented in ``docs/plugins.md``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_alerts.text import json_text
from tsdiff_monitor.config.secrets import resolve_secret
from tsdiff_monitor.durations import Duration, format_duration
from tsdiff_monitor.errors import ConfigError, DeliveryError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings_model import StrictModel

__all__ = ["WebhookNotifier", "sign"]

PAYLOAD_VERSION = 1

_OWN_HEADERS = {"content-type", "content-length", "idempotency-key", "x-tsdiff-signature", "x-tsdiff-timestamp"}
_RETRIED = {408: "timeout", 425: "client_error", 429: "rate_limited"}
_REMEDIES = {401: "check the credentials", 403: "check the credentials", 404: "check the path of `url`"}


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``X-Tsdiff-Signature``: HMAC-SHA256 over ``<timestamp>.<body>``."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class WebhookNotifier:
    """A notifier for endpoints of one's own."""

    class Config(StrictModel):
        """A webhook."""

        url: SecretStr | None = None
        """Where to post to, `http://` or `https://`; masked, because such addresses often carry a token."""
        url_file: Path | None = None
        """File that holds the address; read again at each post."""
        headers: dict[str, SecretStr] = Field(default_factory=dict)
        """Headers added to each request, such as `Authorization`; the values are masked."""
        secret: SecretStr | None = None
        """Key of the signature in the header `X-Tsdiff-Signature`; no signature when left out."""
        secret_file: Path | None = None
        """File that holds the key; read again at each post."""
        timeout: Duration = timedelta(seconds=10)
        """How long to wait to connect, and for each part of the answer."""

        @field_validator("url")
        @classmethod
        def _an_address(cls, url: SecretStr | None) -> SecretStr | None:
            if url is not None and _parsed(url.get_secret_value()) is None:
                raise ValueError("this is not an address; write it like https://host/path")
            return url

        @field_validator("headers")
        @classmethod
        def _headers_that_count(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
            for name, value in headers.items():
                if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                    raise ValueError(f"{name!r} is not a header name")
                if name.lower() in _OWN_HEADERS:
                    raise ValueError(f"the header {name} is set by the notifier itself; remove it")
                if not re.fullmatch(r"[\x20-\x7e]*", value.get_secret_value()):
                    raise ValueError(f"the value of the header {name} may hold printable ASCII only")
            return headers

        @field_validator("timeout")
        @classmethod
        def _positive(cls, timeout: timedelta) -> timedelta:
            if timeout <= timedelta(0):
                raise ValueError("the timeout must be positive, like 10s")
            return timeout

        @model_validator(mode="after")
        def _some_address(self) -> WebhookNotifier.Config:
            if self.url is None and self.url_file is None:
                raise ValueError("give `url` or `url_file`")
            url = None if self.url is None else _parsed(self.url.get_secret_value())
            if url is not None and url.userinfo and "authorization" in {name.lower() for name in self.headers}:
                raise ValueError("credentials are given both in `url` and in the header Authorization; keep one")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        timeout = config.timeout.total_seconds()
        self._client = httpx.Client(transport=context.transport, timeout=timeout, follow_redirects=False)

    def notify(self, change: EventChange) -> None:
        """Post one change. Raises :class:`DeliveryError`; refused credentials and the like are not worth a retry."""
        body = json_text({"version": PAYLOAD_VERSION, **change.to_json()}).encode()
        url, headers = self._address(), {name: value.get_secret_value() for name, value in self._config.headers.items()}
        headers |= {"Content-Type": "application/json", "Idempotency-Key": change.key}
        secret = self._resolved(self._config.secret, self._config.secret_file)
        if secret is not None:
            timestamp = str(int(self._context.now()))
            headers |= {"X-Tsdiff-Timestamp": timestamp, "X-Tsdiff-Signature": sign(secret, timestamp, body)}
        try:
            # The body of the answer is not read: it could come without end, and says nothing that matters here.
            with self._client.stream("POST", url, content=body, headers=headers) as response:
                self._judge(response, url)
        except httpx.TimeoutException as error:
            wait = format_duration(self._config.timeout)
            raise self._failure(f"{_place(url)} did not answer within {wait}", "timeout") from error
        except httpx.HTTPError as error:
            if _is_tls(error):
                raise self._failure(f"no secure connection to {_place(url)}: check its certificate", "tls") from error
            raise self._failure(f"cannot reach {_place(url)} ({type(error).__name__})", "connect") from error

    def close(self) -> None:
        """Close the connections that are kept open between posts."""
        self._client.close()

    def _judge(self, response: httpx.Response, url: httpx.URL) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        said = f"{_place(url)} answered {status} {response.reason_phrase}".rstrip()
        if status in _RETRIED or status >= 500:
            retry_after = _retry_after(response.headers.get("Retry-After"), self._context.now())
            raise self._failure(said, _RETRIED.get(status, "server_error"), retry_after=retry_after)
        if 300 <= status < 400:
            said += "; redirects are not followed: put the final address into `url`"
            raise self._failure(said, "redirect", recoverable=False)
        said += f"; {_REMEDIES.get(status, 'the request was refused')}"
        raise self._failure(said, "client_error", recoverable=False)

    def _failure(
        self, message: str, reason: str, *, recoverable: bool = True, retry_after: float | None = None
    ) -> DeliveryError:
        message = f"webhook {self._context.name!r}: {message}"
        return DeliveryError(message, recoverable=recoverable, reason=reason, retry_after=retry_after)

    def _address(self) -> httpx.URL:
        url = _parsed(self._resolved(self._config.url, self._config.url_file) or "")
        if url is None:
            raise self._failure(f"{self._config.url_file} holds no address like https://host/path", "config")
        return url

    def _resolved(self, value: SecretStr | None, file: Path | None) -> str | None:
        try:
            return resolve_secret(value, file)
        except ConfigError as error:  # the file may be back, or be mended, at the next try
            raise self._failure(str(error), "config") from error


def _parsed(url: str) -> httpx.URL | None:
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        return None
    return parsed if parsed.scheme in ("http", "https") and parsed.host else None


def _place(url: httpx.URL) -> str:
    """Scheme, host and port: the parts of an address that are no secret."""
    return f"{url.scheme}://{url.host}" + (f":{url.port}" if url.port else "")


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait, from either form of the header: a number of seconds or an HTTP date."""
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # the form with "-0000"
    return max(moment.timestamp() - now, 0.0)
