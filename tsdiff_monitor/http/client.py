"""The HTTP client of readers, writers and notifiers: a hard deadline, retries, limits, failures without secrets.

It speaks to the server whose address and options come from the user (:mod:`tsdiff_monitor.http.options`); what can go
wrong is listed in :mod:`tsdiff_monitor.http.failure`. Notifiers use it through :mod:`tsdiff_monitor.http.delivery`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Unpack
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from tenacity import Retrying

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.http.address import Address, origin, safe_url
from tsdiff_monitor.http.body import read_body
from tsdiff_monitor.http.credentials import identify
from tsdiff_monitor.http.exchange import Exchange
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.http.options import ConnectionOptions, Limits, check_credentials
from tsdiff_monitor.http.pool import ClientPool
from tsdiff_monitor.http.redirects import MAX_REDIRECTS, headers_for_strangers, redirect_target
from tsdiff_monitor.http.request import HttpContext, HttpResponse, Parameters, RequestParts, given, success
from tsdiff_monitor.http.retries import Backoff, retrying
from tsdiff_monitor.http.secrets import secrets_in
from tsdiff_monitor.http.transport import Deadline
from tsdiff_monitor.system.version import __version__

__all__ = ["HttpClient", "HttpContext", "HttpFailure", "HttpResponse", "Parameters", "RequestParts"]

_REFUSAL_READ = 65536  # bytes: what a server says about a failure


class HttpClient:
    """Speaks to one server. May be used by several threads at once; calls raise nothing but :class:`HttpFailure`."""

    def __init__(
        self,
        url: str | SecretStr | None,
        options: ConnectionOptions,
        context: HttpContext,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """``url``: None where each request names a whole address. ``sleep`` and ``monotonic`` (seconds) time retries
        and the deadline.

        Raises :class:`ConfigError` when ``url`` is no address, or holds credentials beside those of ``options``.
        """
        try:
            self._address = None if url is None else Address.parse(url)
            check_credentials(options, url)
        except ValueError as error:
            raise ConfigError(context.name, [ConfigProblem("url", str(error))]) from None
        self._options = options
        self._limits = Limits.of(options)
        self._context = context
        self._sleep = sleep
        self._monotonic = monotonic
        self._deadline = Deadline(monotonic)
        self._pool = ClientPool(options, context.transport, self._deadline)

    def __repr__(self) -> str:
        return f"HttpClient({safe_url(self._address.url) if self._address else self._context.name!r})"

    def send(
        self, method: str, target: str | httpx.URL, *, retry: bool = True, **request: Unpack[RequestParts]
    ) -> HttpResponse:
        """Send a request and read the answer. Raises :class:`HttpFailure`.

        ``target``: a path below the server's address, or a whole address, of which messages show the host alone and
        which is sent the user's credentials. ``retry=False`` is for what must not arrive twice; the rest of the
        ``request`` is in :class:`RequestParts`.
        """
        read = request.get("read")
        exchange = self._exchange(method, target, **request)

        def once() -> HttpResponse:
            with self._answer(exchange) as answer:
                if read is None:
                    body = b"".join(self._body(exchange, answer))
                else:
                    body = self._beginning(exchange, answer, read)
                return HttpResponse(answer.status_code, answer.headers, body)

        return self._retrying(exchange, retry)(once)

    @contextmanager
    def stream(
        self, method: str, target: str | httpx.URL, *, retry: bool = True, **request: Unpack[RequestParts]
    ) -> Iterator[Iterator[bytes]]:
        """As :meth:`send`, with the body in pieces as they come: ``with client.stream("GET", path) as pieces:``.

        Only what fails before the first piece is tried again. The deadline goes on while the caller works.
        """
        exchange = self._exchange(method, target, **request)
        with ExitStack() as stack:
            answer = self._retrying(exchange, retry)(lambda: stack.enter_context(self._answer(exchange)))
            yield self._body(exchange, answer)

    def close(self) -> None:
        """Close the connections that are kept open; safe to call twice."""
        self._pool.close()

    def _exchange(
        self,
        method: str,
        target: str | httpx.URL,
        *,
        params: Parameters | None = None,
        data: Parameters | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Callable[[int], bool] = success,
        what: str = "",
        remedies: Mapping[int, str] | None = None,
        secrets: Collection[str] = (),
        read: int | None = None,  # noqa: ARG002 (of the answer, not of the exchange)
    ) -> Exchange:
        path = target if isinstance(target, str) else ""
        address = self._address_of(target)
        try:
            url = address.join(path)
            url = url.copy_merge_params(given(params)) if params else url
        except httpx.InvalidURL as error:  # more than 65,536 characters
            said = f"{what or path[:80]}: the address would be too long ({error}); ask for less at once"
            raise HttpFailure(said, reason="client_error") from None
        sent = dict(headers or {})
        if data is not None:
            content = urlencode(given(data), doseq=True).encode()
            sent = {"Content-Type": "application/x-www-form-urlencoded", **sent}
        whole = not isinstance(target, str)
        return Exchange(
            method=method.upper(),
            address=address,
            path=path,
            url=url,
            headers=sent,
            content=content,
            accept=accept,
            what=what,
            follow_redirects=self._options.follow_redirects,
            limits=self._limits,
            remedies=remedies or {},
            show_answer=not whole,
            deadline=self._monotonic() + self._limits.total,
            monotonic=self._monotonic,
            secrets={*secrets, *(secrets_in(address.url) if whole else ())},
        )

    def _address_of(self, target: str | httpx.URL) -> Address:
        if isinstance(target, httpx.URL):
            return Address.of(target)
        if self._address is None:
            raise ValueError("a client without an address needs a whole one in each request")
        return self._address

    def _retrying(self, exchange: Exchange, retry: bool) -> Retrying:
        return retrying(
            Backoff(self._context.random),
            retries=self._limits.retries if retry else 0,
            left=lambda: exchange.left,
            sleep=self._sleep,
        )

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
            own = own and origin(url) == origin(exchange.address.url)

    @contextmanager
    def _hop(self, exchange: Exchange, url: httpx.URL, own: bool) -> Iterator[httpx.Response]:
        timeout = exchange.timeout()
        with ExitStack() as stack:
            try:
                identity = identify(exchange.address, self._options)
                client = stack.enter_context(self._pool.borrow(url, own=own))
            except ConfigError as error:  # a file may be back, or be corrected, at the next call
                raise exchange.failure(str(error), reason="config") from None
            exchange.secrets.update(identity.secrets)
            headers = httpx.Headers(self._general_headers())
            if own:  # in any case of letters: a header is sent once
                headers.update(identity.headers)
            headers.update(exchange.headers if own else headers_for_strangers(exchange.headers))
            request = client.build_request(
                exchange.method, url, headers=headers, content=exchange.content, timeout=timeout
            )
            self._deadline.at = exchange.deadline
            with exchange.failures():
                answer = client.send(request, stream=True)
            stack.callback(answer.close)
            yield answer

    def _body(self, exchange: Exchange, answer: httpx.Response) -> Iterator[bytes]:
        return read_body(exchange, answer, self._deadline, self._limits.response_bytes)

    def _beginning(self, exchange: Exchange, answer: httpx.Response, most: int) -> bytes:
        """The body until it breaks off, is late, or has ``most`` bytes."""
        came = bytearray()
        try:
            for piece in read_body(exchange, answer, self._deadline, sys.maxsize) if most else ():
                came += piece
                if len(came) >= most:
                    break
        except HttpFailure:
            pass  # what came so far is enough: the status is what matters
        return bytes(came[:most])

    def _refusal(self, exchange: Exchange, answer: httpx.Response) -> HttpFailure:
        said = self._beginning(exchange, answer, _REFUSAL_READ)
        return exchange.refusal(answer, said, self._context.now())

    def _general_headers(self) -> dict[str, str]:
        return {
            "User-Agent": f"tsdiff-monitor/{__version__}",
            "Accept-Encoding": "gzip" if self._limits.compression else "identity",
        }
