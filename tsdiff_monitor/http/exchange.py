"""One call of the client, all its tries included: what is sent, until when, and how its failures are worded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx

from tsdiff_monitor.http.address import Address, safe_url
from tsdiff_monitor.http.failure import HttpFailure, judge_status, retry_after, tls_words, transport_reason
from tsdiff_monitor.http.options import Limits
from tsdiff_monitor.http.secrets import without_secrets
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["Exchange"]

_BODY_SHOWN, _GIST_SHOWN = 2000, 300  # characters


@dataclass(frozen=True, eq=False, repr=False)
class Exchange:
    """A request, its limits, and the secrets that went into it."""

    method: str
    address: Address
    """The server asked, with the credentials that stood in its address."""
    path: str
    """Path below the server's address; messages show it, and of ``url`` only its host. Empty for
    a whole address, the path of which may be a secret."""
    url: httpx.URL
    headers: dict[str, str]
    """The caller's own, without those of the options."""
    content: bytes | None
    accept: Callable[[int], bool]
    what: str
    follow_redirects: bool
    limits: Limits
    remedies: Mapping[int, str]
    """Status to what the user can do about it."""
    show_answer: bool
    """True where messages may quote the server's text."""
    deadline: float
    """In seconds of ``monotonic``."""
    monotonic: Callable[[], float]
    secrets: set[str] = field(default_factory=set)

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - self.monotonic()

    def timeout(self) -> httpx.Timeout:
        """Time-outs of each step, within what is left. Raises :class:`HttpFailure` when nothing is."""
        left = self.left
        if left <= 0:
            raise self.too_late()
        connect = min(self.limits.connect, left)
        return httpx.Timeout(min(self.limits.read, left), connect=connect, pool=connect)

    def failure(self, said: str, **details: Any) -> HttpFailure:
        """A failure of this exchange: who was asked for what, and the cause."""
        where = f"{safe_url(self.url)}/{self.path.lstrip('/')}" if self.path else safe_url(self.url)
        message = ": ".join(filter(None, (self.what, where, said)))
        return HttpFailure(without_secrets(message, self.secrets), **details)

    def too_late(self) -> HttpFailure:
        """The deadline has passed."""
        said = f"no whole answer within {_seconds(self.limits.total)}; {self._relief()}, or raise `timeout`"
        return self.failure(said, reason="timeout")

    def refusal(self, answer: httpx.Response, body: bytes, now: float) -> HttpFailure:
        """An answer with a status that is no success; ``now`` in Unix seconds."""
        status = answer.status_code
        reason, retried, remedy = judge_status(status)
        remedy = self.remedies.get(status, remedy)
        text = without_secrets(body.decode("utf-8", "replace").strip(), self.secrets)
        said = f"status {status} {answer.reason_phrase}".rstrip()
        if reason == "redirect":
            said += _leads_to(answer)
        said = ": ".join(filter(None, (said, _gist(text) if self.show_answer else "")))
        return self.failure(
            "; ".join(filter(None, (said, remedy))),
            reason=reason,
            retried=retried,
            status=status,
            retry_after=retry_after(answer.headers.get("Retry-After"), now),
            body=text[:_BODY_SHOWN],
        )

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turns what httpx raises into failures."""
        try:
            yield
        except httpx.TransportError as error:
            if isinstance(error, httpx.TimeoutException) and self.left <= 0:
                raise self.too_late() from error
            reason, retried = transport_reason(error)
            failure = self.failure(self._words(error, reason), reason=reason, retried=retried)
            # Garbage may repeat what was sent; then the cause is left out, lest a traceback shows it.
            repeats = without_secrets(repr(error), self.secrets) != repr(error)
            raise failure from (None if repeats else error)

    def _relief(self) -> str:
        """Advice for a server that is too slow."""
        return "ask for less at once" if self.show_answer else "check the server"

    def _words(self, error: httpx.TransportError, reason: str) -> str:
        if reason == "timeout":
            if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
                key = "connect_timeout" if self.limits.connect < self.limits.total else "timeout"
                limit = _seconds(self.limits.connect)
                return f"no connection within {limit} (`{key}`); check that the server is up and reachable"
            key = "read_timeout" if self.limits.read < self.limits.total else "timeout"
            return f"nothing came for {_seconds(self.limits.read)}; {self._relief()}, or raise `{key}`"
        if reason == "tls":
            return f"no secure connection: {tls_words(error)}"
        if reason == "auth":
            return f"the proxy answered {error}; {judge_status(407)[2]}"
        if reason == "garbled":
            return "what answers does not speak HTTP; check host, port and http or https of `url`"
        said = str(error) or type(error).__name__
        return f"the connection failed ({said}); check that the server is up, and host and port of `url`"


def _seconds(seconds: float) -> str:
    return format_duration(timedelta(seconds=seconds))


def _leads_to(answer: httpx.Response) -> str:
    try:
        return f", redirects to {safe_url(answer.request.url.join(answer.headers['Location']))}"
    except (KeyError, httpx.InvalidURL):
        return ""


def _gist(body: str) -> str:
    """The server's own text about a failure, in a line: its JSON's ``error`` or ``message``, or its text; no pages."""
    try:
        found = json.loads(body)
        said = str(found.get("error") or found.get("message") or "") if isinstance(found, dict) else ""
    except ValueError:
        said = "" if body.startswith("<") else body
    return " ".join(said.split())[:_GIST_SHOWN]
