"""The HTTP client of all connectors: retries, a hard deadline, limits, and failures in words without secrets.

It speaks to one server, whose address and options come from the user (:mod:`tsdiff_connectors.http_options`); what
can go wrong is listed in :mod:`tsdiff_connectors.http_failure`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypedDict, Unpack
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from tenacity import RetryCallState, Retrying, retry_if_exception

import tsdiff_monitor
from tsdiff_connectors.http_address import Address, origin, safe_url
from tsdiff_connectors.http_body import read_body
from tsdiff_connectors.http_credentials import identify
from tsdiff_connectors.http_exchange import Exchange
from tsdiff_connectors.http_failure import HttpFailure
from tsdiff_connectors.http_options import HttpOptions, check_credentials
from tsdiff_connectors.http_pool import ClientPool
from tsdiff_connectors.http_redirects import MAX_REDIRECTS, headers_for_strangers, redirect_target
from tsdiff_connectors.http_transport import Deadline
from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.plugins import Context

__all__ = ["HttpClient", "HttpFailure", "HttpResponse", "Parameters", "RequestParts"]

Value = str | int | float | bool
Parameters = Mapping[str, Value | Sequence[Value] | None]
"""Names to values or lists of values, for the address or a form; None leaves a name out."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 10.0  # seconds
_REFUSAL_READ = 65536  # bytes: what a server says about a failure


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer, decompressed. The names of ``headers`` are found in upper and lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)


def success(status: int) -> bool:
    """Whether a status is 2xx."""
    return 200 <= status < 300


class RequestParts(TypedDict, total=False):
    """What may be given with a request's method and path."""

    params: Parameters | None
    """For the address, behind ``?``."""
    data: Parameters | None
    """Sent as a form."""
    content: bytes | None
    """Sent as it is."""
    headers: Mapping[str, str] | None
    """Added to the client's own."""
    accept: Callable[[int], bool]
    """Which statuses are a success; :func:`success` when left out."""
    what: str
    """Opens the messages of failures."""


class HttpClient:
    """Speaks to one server. May be used by several threads at once; calls raise nothing but :class:`HttpFailure`."""

    def __init__(
        self,
        url: str | SecretStr,
        options: HttpOptions,
        context: Context,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``sleep`` and ``monotonic`` (seconds) time retries and the deadline.

        Raises :class:`ConfigError` when ``url`` is no address, or holds credentials beside those of ``options``.
        """
        try:
            self._address = Address.parse(url)
            check_credentials(options, url)
        except ValueError as error:
            raise ConfigError(context.name, [ConfigProblem("url", str(error))]) from None
        self._options = options
        self._context = context
        self._sleep = sleep
        self._monotonic = monotonic
        self._deadline = Deadline(monotonic)
        self._pool = ClientPool(self._address, options, context, self._deadline)

    def __repr__(self) -> str:
        return f"HttpClient({safe_url(self._address.url)!r})"

    def send(self, method: str, path: str, *, retry: bool = True, **request: Unpack[RequestParts]) -> HttpResponse:
        """Send a request and read the whole answer. Raises :class:`HttpFailure`.

        ``path`` goes below the server's address; ``retry=False`` is for what must not arrive twice; the rest of the
        ``request`` is in :class:`RequestParts`.
        """
        exchange = self._exchange(method, path, **request)

        def whole() -> HttpResponse:
            with self._answer(exchange) as answer:
                return HttpResponse(answer.status_code, answer.headers, b"".join(self._body(exchange, answer)))

        return self._retrying(exchange, retry)(whole)

    @contextmanager
    def stream(
        self, method: str, path: str, *, retry: bool = True, **request: Unpack[RequestParts]
    ) -> Iterator[Iterator[bytes]]:
        """As :meth:`send`, with the body in pieces as they come: ``with client.stream("GET", path) as pieces:``.

        Only what fails before the first piece is tried again. The deadline goes on while the caller works.
        """
        exchange = self._exchange(method, path, **request)
        with ExitStack() as stack:
            answer = self._retrying(exchange, retry)(lambda: stack.enter_context(self._answer(exchange)))
            yield self._body(exchange, answer)

    def close(self) -> None:
        """Close the connections that are kept open; safe to call twice."""
        self._pool.close()

    def _exchange(
        self,
        method: str,
        path: str,
        *,
        params: Parameters | None = None,
        data: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Callable[[int], bool] = success,
        what: str = "",
    ) -> Exchange:
        try:
            url = self._address.join(path)
            url = url.copy_merge_params(_given(params)) if params else url
        except httpx.InvalidURL as error:  # more than 65,536 characters
            said = f"{what or path[:80]}: the address would be too long ({error}); ask for less at once"
            raise HttpFailure(said, reason="client_error") from None
        sent = {
            "User-Agent": f"tsdiff-monitor/{tsdiff_monitor.__version__}",
            "Accept-Encoding": "gzip" if self._options.enable_compression else "identity",
        }
        if data is not None:
            content = urlencode(_given(data), doseq=True).encode()
            sent["Content-Type"] = "application/x-www-form-urlencoded"
        return Exchange(
            method=method.upper(),
            path=path,
            url=url,
            headers=sent | dict(headers or {}),
            content=content,
            accept=accept,
            what=what,
            options=self._options,
            deadline=self._monotonic() + self._options.timeout.total_seconds(),
            monotonic=self._monotonic,
        )

    def _retrying(self, exchange: Exchange, retry: bool) -> Retrying:
        def pause(state: RetryCallState) -> float:
            longest = min(_FIRST_PAUSE * 2.0 ** (state.attempt_number - 1), _LONGEST_PAUSE)
            failure = state.outcome.exception() if state.outcome is not None else None
            asked = failure.retry_after if isinstance(failure, HttpFailure) else None
            return max(self._context.random.uniform(0.5, 1.0) * longest, asked or 0.0)

        def stop(state: RetryCallState) -> bool:
            # A pause that outlasts the deadline is not begun: the caller learns of the failure at once.
            return not retry or state.attempt_number > self._options.retries or state.upcoming_sleep >= exchange.left

        again = retry_if_exception(lambda error: isinstance(error, HttpFailure) and error.retried)
        return Retrying(retry=again, wait=pause, stop=stop, sleep=self._sleep, reraise=True)

    @contextmanager
    def _answer(self, exchange: Exchange) -> Iterator[httpx.Response]:
        """One try: the answer, its body still to be read, after redirects, when its status is a success."""
        url: httpx.URL | None = exchange.url
        own = True
        for hop in range(MAX_REDIRECTS + 1):
            assert url is not None
            with self._hop(exchange, url, own) as answer:
                url = redirect_target(exchange, answer, hop)
                if url is None:
                    if not exchange.accept(answer.status_code):
                        raise self._refusal(exchange, answer)
                    yield answer
                    return
            own = own and origin(url) == origin(self._address.url)

    @contextmanager
    def _hop(self, exchange: Exchange, url: httpx.URL, own: bool) -> Iterator[httpx.Response]:
        timeout = exchange.timeout()
        with ExitStack() as stack:
            try:
                identity = identify(self._address, self._options)
                client = stack.enter_context(self._pool.borrow(own=own))
            except ConfigError as error:  # a file may be back, or be mended, at the next call
                raise exchange.failure(str(error), reason="config") from None
            exchange.secrets.update(identity.secrets)
            headers = {**identity.headers, **exchange.headers} if own else headers_for_strangers(exchange.headers)
            request = client.build_request(
                exchange.method, url, headers=headers, content=exchange.content, timeout=timeout
            )
            self._deadline.at = exchange.deadline
            with exchange.failures():
                answer = client.send(request, stream=True)
            stack.callback(answer.close)
            yield answer

    def _body(self, exchange: Exchange, answer: httpx.Response) -> Iterator[bytes]:
        return read_body(exchange, answer, self._deadline, self._options.max_response_bytes)

    def _refusal(self, exchange: Exchange, answer: httpx.Response) -> HttpFailure:
        said = bytearray()
        try:
            for piece in read_body(exchange, answer, self._deadline, _REFUSAL_READ):
                said += piece
        except HttpFailure:
            pass  # what came so far is enough: the status is what matters
        return exchange.refusal(answer, bytes(said), self._context.now())


def _given(parameters: Parameters) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
