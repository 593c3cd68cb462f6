"""From a checked configuration to working parts: the one place where everything is put together."""

from __future__ import annotations

import fcntl
import random
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import structlog

from tsdiff_monitor.config.loader import Config, PluginConfig
from tsdiff_monitor.delivery.dispatcher import Attempt, Dispatcher
from tsdiff_monitor.delivery.refresh import AlertResender
from tsdiff_monitor.delivery.turns import Turns
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.pipeline.writers import BackgroundWriter, QueuedSinks
from tsdiff_monitor.plugins import Closable, Context, Kind, Notifier, Reader, Writer
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.deadline import DeadlineError, call_within
from tsdiff_monitor.system.threads import use_threads

if TYPE_CHECKING:
    import httpx

__all__ = ["CLOSE_SECONDS", "Assembly", "assemble"]

CLOSE_SECONDS = 2.0
"""The time that a notifier has to close, and a writer for its last batches."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Assembly:
    """The working parts of one process. Use as a context manager: leaving it closes writers and store."""

    config: Config
    store: Store
    models: ModelStore
    readers: Mapping[str, Reader]
    writers: Mapping[str, Writer]
    notifiers: Mapping[str, Notifier]
    pipelines: Mapping[str, Pipeline]
    dispatcher: Dispatcher
    resender: AlertResender
    queues: Mapping[str, BackgroundWriter] = field(default_factory=dict)
    claim: IO[str] | None = None

    def __enter__(self) -> Assembly:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:  # each is closed, even if others raise; the store and its claim last
            if self.claim is not None:
                stack.callback(self.claim.close)
            stack.callback(self.store.close)
            for part in (*self.readers.values(), *self.writers.values()):
                if isinstance(part, Closable):
                    stack.callback(part.close)
            stack.callback(self._mark_written)
            for name, queue in self.queues.items():
                stack.callback(_drain, name, queue)
            for name, notifier in self.notifiers.items():
                if isinstance(notifier, Closable):
                    stack.callback(_close_notifier, name, notifier.close)

    def _mark_written(self) -> None:
        """Keep what the background writers have written by now, so that the next process need not write it again."""
        for name, pipeline in self.pipelines.items():
            if pipeline.sinks is not None and pipeline.sinks:
                with suppress(StoreError):
                    self.store.mark_written(name, pipeline.sinks.written())


def assemble(
    config: Config,
    *,
    storage: Path | None = None,
    models: Path | None = None,
    now: Callable[[], float] = time.time,
    transport: httpx.BaseTransport | None = None,
    rng: random.Random | None = None,
    observe: Callable[[Attempt], None] | None = None,
    background: bool = False,
) -> Assembly:
    """Build readers, writers, notifiers, store and one pipeline per monitor; uses ``workers`` CPU threads.

    ``storage`` and ``models`` replace the folders below ``settings.storage_path``. With ``background``, writers have
    threads of their own, and a tick does not wait for them. Raises :class:`StoreError` when
    another process is using the storage: no plug-in is built then, for it might touch that process's files. When a
    part cannot be built, those before it are closed and the storage is free again.
    """
    rng = rng or random.Random()  # noqa: S311 - jitter, not cryptography
    storage = storage or config.settings.storage_path
    if config.settings.workers is not None:
        use_threads(config.settings.workers)

    with ExitStack() as built:  # unless all can be built, what is there already is closed again
        claim = built.enter_context(_claim(storage))  # first: plug-ins open files below the storage
        store = built.enter_context(Store(storage / "state.sqlite", now=now))

        def build(kind: Kind, entries: Mapping[str, PluginConfig]) -> dict[str, Any]:
            parts = {}
            for name, entry in entries.items():
                context = Context(name=name, now=now, transport=transport, random=rng, storage=storage / kind / name)
                parts[name] = entry.plugin(entry.config, context)
                built.callback(_close_after_failure, parts[name])
            return parts

        readers, writers = build("readers", config.readers), build("writers", config.writers)
        notifiers = build("notifiers", config.notifiers)
        model_store = ModelStore(models or storage / "models")
        queues = {name: BackgroundWriter(name, writer) for name, writer in writers.items()} if background else {}
        pipelines = {
            name: Pipeline(
                name=name,
                monitor=monitor,
                model=config.models[monitor.model],
                scheduler=config.schedulers[monitor.scheduler],
                reader=readers[monitor.reader],
                store=store,
                models=model_store,
                writers={writer: writers[writer] for writer in monitor.write},
                routes=config.settings.routes,
                max_catchup=config.settings.max_catchup,
                sinks=QueuedSinks(name, {writer: queues[writer] for writer in monitor.write}) if background else None,
            )
            for name, monitor in config.monitors.items()
        }
        turns, limits = Turns(threads=True), config.settings.delivery
        dispatcher = Dispatcher(
            store,
            notifiers,
            now=now,
            random=rng,
            give_up_after=limits.give_up_after,
            attempt_timeout=limits.attempt_timeout,
            turns=turns,
            observe=observe or (lambda _: None),
        )
        resender = AlertResender(store, notifiers, now=now, timeout=limits.attempt_timeout, turns=turns)
        made = Assembly(
            config, store, model_store, readers, writers, notifiers, pipelines, dispatcher, resender, queues, claim
        )
        built.pop_all()  # from here on the assembly closes its parts
    return made


def _close_after_failure(part: object) -> None:
    """Close a plug-in if it can be; what it raises would only hide the error that is to be reported."""
    if isinstance(part, Closable):
        with suppress(Exception):
            part.close()


def _close_notifier(name: str, close: Callable[[], object]) -> None:
    """Close a notifier, which may hang in a delivery that has not returned."""
    try:
        call_within(CLOSE_SECONDS, close, name=f"close-{name}")
    except DeadlineError:
        _log.warning("left behind: the notifier does not close", notifier=name, waited_seconds=CLOSE_SECONDS)


def _drain(name: str, queue: BackgroundWriter) -> None:
    """Wait for a writer's last batches, unless it hangs."""
    left = queue.drain(CLOSE_SECONDS)
    if left:
        _log.warning("left behind: scores not written", writer=name, batches=left, waited_seconds=CLOSE_SECONDS)


def _claim(storage: Path) -> IO[str]:
    """Hold the storage for this process; the system lets go of it however the process ends."""
    lock = storage / "lock"
    try:
        storage.mkdir(parents=True, exist_ok=True)
        claim = lock.open("w")
    except OSError as error:
        raise StoreError(
            f"{storage}: the state cannot be kept here ({error.strerror}); choose another --storage.path"
        ) from None
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        claim.close()
        raise StoreError(
            f"{storage}: another tsdiff-monitor is using this storage; stop it, or choose another --storage.path"
        ) from None
    return claim
