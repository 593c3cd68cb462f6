"""The process around the service: socket, signals, and the order in which all of it starts and ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import structlog
from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from tsdiff_monitor.app.build import assemble
from tsdiff_monitor.config.lint import OPEN_TO_ALL, is_loopback
from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.daemon.delivery_metrics import DeliveryMetrics
from tsdiff_monitor.daemon.metrics import Metrics
from tsdiff_monitor.daemon.plugin_metrics import PluginMetrics
from tsdiff_monitor.daemon.service import Service
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.web.app import create_app
from tsdiff_monitor.web.server import WebServer, listen

__all__ = ["StopSignals", "run_daemon"]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_ECHO_SECONDS = 0.5
"""Shells, ``timeout`` and process managers signal a process and its group: the same request, received twice."""
_log = structlog.get_logger(__name__)


class StopSignals:
    """Turns the first SIGTERM or SIGINT into the end of :meth:`wait`; a second one ends the process at once.

    For the main thread, as a context manager that restores the handlers found. A pipe carries the news, because a
    handler may interrupt the main thread anywhere, even while it holds the lock of a ``threading.Event``.
    """

    def __init__(self, exit_now: Callable[[int], Any] = os._exit, timer: Callable[[], float] = time.monotonic) -> None:
        self._exit_now = exit_now
        self._timer = timer
        self._received: float | None = None
        self._before: dict[int, Any] = {}
        self._reading, self._writing = os.pipe()

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        os.close(self._reading)
        os.close(self._writing)

    def wait(self) -> str:
        """Wait for the first signal; returns its name."""
        return signal.Signals(os.read(self._reading, 1)[0]).name

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 (a signal handler's shape)
        if self._received is None:
            self._received = self._timer()
            os.write(self._writing, bytes([number]))
        elif self._timer() - self._received > _ECHO_SECONDS:
            self._exit_now(128 + number)


def run_daemon(config: Config, signals: StopSignals) -> bool:
    """Run until a signal; False when something that hangs was left behind, which keeps the interpreter from ending.

    Raises ``TsdiffError`` when the process cannot start: the port is taken, the store cannot be opened.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series per counter that is of no use
    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    metrics = Metrics(registry)
    web_settings = config.settings.web
    # The socket comes first: a second start by mistake must fail before it touches the store of the first.
    with (
        listen(web_settings.host, web_settings.port) as socket,
        assemble(config, observe=metrics.attempted, background=True) as assembly,
    ):
        for kind, plugins in (
            ("reader", assembly.readers),
            ("writer", assembly.writers),
            ("notifier", assembly.notifiers),
        ):
            registry.register(PluginMetrics(kind, plugins))
        registry.register(
            DeliveryMetrics(assembly.store, assembly.dispatcher, assembly.resender, tuple(assembly.notifiers))
        )
        service = Service(assembly, metrics)
        app = create_app(store=assembly.store, registry=registry, not_ready=lambda: service.not_ready)
        with WebServer(app, socket) as web:
            _log.info("listening on", address=web.address)
            if not is_loopback(web_settings.host):
                _log.warning("open to the network", problem=OPEN_TO_ALL)
            service.start()
            _log.info("started", version=__version__, config=config.file, monitors=sorted(config.monitors))
            _log.info("stopping", signal=signals.wait())
            finished = service.stop()
    _log.info("stopped")
    return finished
