"""Flux over ``influxdb-client``, with the limits that it lacks.

API: https://docs.influxdata.com/influxdb/v2/api/#operation/PostQuery. The client's time-outs hold for each single read,
so a server that sends a byte now and then could keep it for ever; and it holds an answer of any size in memory. Here a
request runs on one of a bounded number of threads, is given up at the deadline, and is counted byte by byte.
"""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from tsdiff_connectors.influxdb.columns import Answer, GarbledError
from tsdiff_connectors.influxdb.config import InfluxConfig
from tsdiff_connectors.influxdb.flux_answer import read_annotated_csv
from tsdiff_connectors.influxdb.flux_failure import client_failure
from tsdiff_connectors.reading.lanes import Lanes
from tsdiff_monitor.http.address import Address, safe_url
from tsdiff_monitor.http.credentials import identify
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.http.retries import Backoff, retrying
from tsdiff_monitor.http.secrets import without_secrets
from tsdiff_monitor.http.tls import Material, make_context, read_material
from tsdiff_monitor.plugins import BusyError, Context, DeadlineError
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["FluxClient"]

_PIECE = 1 << 16
_MAX_REDIRECTS = 5
_SPARE = 16
"""Requests beyond `concurrency` at once: of other monitors, or given up and still without their server's last word."""


class FluxClient:
    """Asks one server. May be used by several threads at once; raises :class:`HttpFailure` and the parser's errors."""

    def __init__(self, config: InfluxConfig, context: Context, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._config = config
        self._options = config.authorized()
        self._context = context
        self._sleep = sleep
        self._address = Address.parse(config.url)
        self._lanes = Lanes("influxdb-query", config.concurrency + _SPARE)
        self._lock = threading.Lock()
        self._made: tuple[tuple[Any, Material], Any] | None = None

    def __repr__(self) -> str:
        return f"FluxClient({safe_url(self._address.url)!r})"

    def query(self, flux: str, fields: tuple[str, ...] | None) -> Answer:
        """The answer of one query, all of it. Lost connections, 429 and 5xx are tried again within ``timeout``."""
        limit = self._config.timeout.total_seconds()
        deadline = time.monotonic() + limit
        tries = retrying(
            Backoff(self._context.random),
            retries=self._config.retries,
            left=lambda: deadline - time.monotonic(),
            sleep=self._sleep,
        )
        return tries(self._once, flux, fields, deadline)

    def close(self) -> None:
        """Close the connections that are kept open; safe to call twice."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[1].close()

    def _once(self, flux: str, fields: tuple[str, ...] | None, deadline: float) -> Answer:
        api, secrets = self._api()
        call = _Call(lambda: api.query_raw(flux), fields, self._config.max_response_bytes)
        limit = format_duration(self._config.timeout)
        try:
            return self._lanes.call(deadline - time.monotonic(), call.run)
        except DeadlineError:
            call.give_up()
            said = f"no whole answer within {limit}; ask for less at once, or raise `timeout`"
            raise HttpFailure(f"{self._where}: {said}", reason="timeout") from None
        except BusyError:
            said = f"the earlier queries are still without an end after {limit}; check the server"
            raise HttpFailure(f"{self._where}: {said}", reason="timeout") from None
        except _TooLargeError:
            most = self._config.max_response_bytes
            said = f"the answer is larger than {most:,} bytes; ask for less at once, or raise `max_response_bytes`"
            raise HttpFailure(f"{self._where}: {said}", reason="too_large") from None
        except Exception as error:  # the client raises errors of any kind
            failed = self._failed(error, secrets)
        raise failed  # here, without a context: the client's own errors quote headers and bodies, secrets included

    def _failed(self, error: Exception, secrets: tuple[str, ...]) -> Exception:
        """A failure of the client in our words; the error itself where it is not one of the client's."""
        failure = client_failure(error, self._config, self._context.now())
        if failure is None:
            return error
        return HttpFailure(
            without_secrets(f"{self._where}: {failure.message}", secrets),
            reason=failure.reason,
            status=failure.status,
            retry_after=failure.retry_after,
            body=without_secrets(failure.body, secrets),
            retried=failure.retried,
        )

    def _api(self) -> tuple[Any, tuple[str, ...]]:
        """The client's query API with the credentials and certificates of this moment, and what must not be shown."""
        identity = identify(self._address, self._options)
        key = (tuple(sorted(identity.headers.items())), read_material(self._config.tls_config))
        with self._lock:
            if self._made is None or self._made[0] != key:
                self._made = (key, _make_client(self._address, self._config, identity.headers))
            return self._made[1].query_api(), identity.secrets

    @property
    def _where(self) -> str:
        return f"{safe_url(self._address.url)}/api/v2/query"


class _Call:
    """One request, which may have to be given up from another thread."""

    def __init__(self, send: Callable[[], Any], fields: tuple[str, ...] | None, limit: int) -> None:
        self._send = send
        self._fields = fields
        self._limit = limit
        self._given_up = threading.Event()
        self._response: Any = None

    def run(self) -> Answer:
        """The answer, read as it comes. Raises the client's errors and the parser's."""
        self._response = self._send()
        try:
            return read_annotated_csv(csv.reader(self._lines()), self._fields)
        except csv.Error as error:
            raise GarbledError(f"not CSV: {error}") from None
        finally:
            self._response.close()

    def give_up(self) -> None:
        """End the thread soon: wake it from its wait for the network."""
        self._given_up.set()
        with suppress(AttributeError, ValueError, RuntimeError, OSError):  # there is no answer yet, or no more:
            self._response.shutdown()  # then it ends with `read_timeout`

    def _lines(self) -> Iterator[str]:
        total, rest = 0, b""
        for piece in self._response.stream(_PIECE, decode_content=True):
            total += len(piece)
            if total > self._limit or self._given_up.is_set():
                raise _TooLargeError
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield _text(line) + "\n"
        if rest:
            yield _text(rest)


class _TooLargeError(Exception):
    """The answer is longer than allowed."""


def _text(line: bytes) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise GarbledError("not text in UTF-8") from None


def _make_client(address: Address, config: InfluxConfig, headers: Mapping[str, str]) -> Any:
    """The client with everything that the user set; credentials are among the ``headers``."""
    from influxdb_client.client.influxdb_client import InfluxDBClient
    from urllib3 import disable_warnings
    from urllib3.exceptions import InsecureRequestWarning
    from urllib3.util import Retry, make_headers

    assert config.org is not None
    tls = config.tls_config
    options: dict[str, Any] = {
        "verify_ssl": not tls.insecure_skip_verify,
        "enable_gzip": config.enable_compression,
        "connection_pool_maxsize": config.concurrency + _SPARE,
        "retries": False,  # tries are counted here, where the deadline is known
    }
    if address.url.scheme == "https":
        options["ssl_context"] = make_context(tls, with_certificate=True)
    if config.proxy_url is not None:
        proxy = Address.parse(config.proxy_url)
        options["proxy"] = str(proxy.url)
        if proxy.has_credentials:
            options["proxy_headers"] = make_headers(proxy_basic_auth=f"{proxy.username}:{proxy.password}")
    if config.follow_redirects:
        options["retries"] = Retry(
            total=_MAX_REDIRECTS,
            connect=0,
            read=0,
            other=0,
            respect_retry_after_header=False,
            raise_on_redirect=False,
            remove_headers_on_redirect=frozenset({"Authorization", *headers}),
        )
    waits: Any = (config.connect_timeout.total_seconds() * 1000, config.read_timeout.total_seconds() * 1000)
    client: Any = InfluxDBClient(str(address.url).rstrip("/"), "", timeout=waits, org=config.org, **options)
    for name, value in headers.items():
        client.api_client.set_default_header(name, value)
    if tls.insecure_skip_verify:
        # The user has turned verification off; a warning at each request would only say it again.
        disable_warnings(InsecureRequestWarning)
    return client
