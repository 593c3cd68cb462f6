"""The promises of every notifier, as tests to derive from: one class for all, and one for those that use HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import httpx

from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change, Culprit, EventChange
from tsdiff_monitor.plugins import Context, Notifier
from tsdiff_monitor.testing.checks import check_config, check_reason, check_silent, raised
from tsdiff_monitor.testing.examples import example_change
from tsdiff_monitor.testing.fakes import FakeClock

__all__ = ["HttpNotifierConformance", "NotifierConformance"]

Handler = Callable[[httpx.Request], httpx.Response]


class NotifierConformance:
    """Derive, name the class ``Test...``, and give :meth:`make`; for HTTP use :class:`HttpNotifierConformance`."""

    secrets: ClassVar[tuple[str, ...]] = ()
    """Secrets in the configuration that :meth:`make` uses."""

    def make(self, context: Context) -> Notifier:
        """A new notifier, built with ``context``."""
        raise NotImplementedError

    def context(self) -> Context:
        """The context of tests that expect delivery to succeed."""
        return Context(now=FakeClock())

    def test_is_a_notifier(self) -> None:
        """The class satisfies the contract, and its configuration is strict and documented."""
        notifier = self.make(self.context())
        assert isinstance(notifier, Notifier), "there is no method `notify`"
        check_config(notifier)

    def test_delivers_every_change(self) -> None:
        """An event's opening, update and resolution are delivered, and again when asked again."""
        notifier = self.make(self.context())
        for sequence, change in enumerate(Change):
            notifier.notify(example_change(change, sequence))
            notifier.notify(example_change(change, sequence))

    def test_delivers_unusual_events(self) -> None:
        """No group, no culprits, many culprits, markup, line ends and very long names do not stop a delivery."""
        name = "[bold]<a&b>|*_`~ \x1b[31m\n\N{PILE OF POO} " + "x" * 5000
        notifier = self.make(self.context())
        events: tuple[dict[str, Any], ...] = (
            {"group": (), "culprits": ()},
            {"culprits": tuple(Culprit(f"m{i}", 0.01, 1.0, 2.0, 1.5, 2.5) for i in range(100))},
            {"culprits": (Culprit("gone", 1.0, None, None, None, None),)},
            {"group": (("path", name),), "culprits": (Culprit(name, 1.0, 1e30, -1e-30, -1.0, 0.0),)},
        )
        for sequence, event in enumerate(events):
            notifier.notify(example_change(Change.opened, sequence, id=f"unusual-{sequence}", **event))

    def test_the_notifier_keeps_its_secrets(self) -> None:
        """The text and repr of the notifier show no secret."""
        check_silent(self.secrets, self.make(self.context()))


class HttpNotifierConformance(NotifierConformance):
    """For notifiers that use ``context.transport``; gives the table of what is to be tried again."""

    recoverable: ClassVar[tuple[int, ...]] = (408, 425, 429, 500, 502, 503, 504)
    """Statuses that a retry may cure."""
    final: ClassVar[tuple[int, ...]] = (301, 302, 308, 400, 401, 403, 404, 410, 413, 422)
    """Statuses that no retry cures."""

    def success(self, request: httpx.Request) -> httpx.Response:  # noqa: ARG002 (for those who override it)
        """The service's answer to a request that it accepts."""
        return httpx.Response(200)

    def identity(self, request: httpx.Request) -> str | None:
        """The part of a request by which the service knows a repetition; None where it offers no such thing."""
        key: str | None = request.headers.get("Idempotency-Key")
        return key

    def context(self) -> Context:
        return self._context(self.success)

    def test_sends_something(self) -> None:
        """A change leaves as at least one request, and success raises nothing."""
        assert self.requests(example_change()), "no request was sent"

    def test_a_repetition_is_recognisable(self) -> None:
        """The same change carries the same identity each time, another change another one."""
        first, again = self.requests(example_change(sequence=1)), self.requests(example_change(sequence=1))
        identities = [self.identity(request) for request in first]
        assert identities == [self.identity(request) for request in again], "the identity changes between deliveries"
        other = self.requests(example_change(Change.updated, sequence=2))
        if identities != [None] * len(first):
            assert identities != [self.identity(request) for request in other], "two changes share an identity"

    def test_statuses_that_a_retry_may_cure(self) -> None:
        """Overload and failures of the server are recoverable."""
        for status in self.recoverable:
            error = self._refused(_always(status))
            assert error.recoverable, f"status {status} must be recoverable"

    def test_statuses_that_no_retry_cures(self) -> None:
        """Refusals and redirects are final: trying again only delays the fix that a person has to make."""
        for status in self.final:
            headers = {"Location": "https://elsewhere.example/"} if status < 400 else {}
            error = self._refused(_always(status, headers))
            assert not error.recoverable, f"status {status} must not be recoverable"

    def test_retry_after_is_passed_on(self) -> None:
        """The wait that the server asks for is passed on to the caller."""
        error = self._refused(_always(429, {"Retry-After": "7"}))
        assert error.retry_after == 7, f"retry_after is {error.retry_after} where the server said 7"

    def test_network_failures_are_recoverable(self) -> None:
        """Time-outs and lost connections say nothing about the request: they are tried again."""
        for kind in (httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ConnectError, httpx.RemoteProtocolError):

            def fail(request: httpx.Request, kind: type[httpx.TransportError] = kind) -> httpx.Response:
                raise kind("no answer", request=request)

            error = self._refused(fail)
            assert error.recoverable, f"{kind.__name__} must be recoverable"

    def _refused(self, handler: Handler) -> DeliveryError:
        notifier = self.make(self._context(handler))
        error = raised(DeliveryError, lambda: notifier.notify(example_change()))
        check_reason(error.reason)
        check_silent(self.secrets, error, notifier)
        return error

    def requests(self, change: EventChange) -> list[httpx.Request]:
        """The requests that a new notifier sends for a change, for tests of your own as well."""
        seen: list[httpx.Request] = []

        def handler(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            return self.success(request)

        self.make(self._context(handler)).notify(change)
        return seen

    def _context(self, handler: Handler) -> Context:
        return Context(now=FakeClock(), transport=httpx.MockTransport(handler))


def _always(status: int, headers: dict[str, str] | None = None) -> Handler:
    return lambda _: httpx.Response(status, headers=headers)
