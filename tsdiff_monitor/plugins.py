"""The contracts for readers, writers and notifiers, and how they are found.

A plug-in is a class registered under one of the entry-point groups ``tsdiff_monitor.readers``,
``tsdiff_monitor.writers`` and ``tsdiff_monitor.notifiers``; the entry point's name is its ``type`` in the
configuration. The class carries its configuration model as ``Config`` and is built as ``cls(config, context)``.
Built-in plug-ins enter through this same door. Conformance kits: :mod:`tsdiff_monitor.testing`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import pandas as pd

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.frame import Frame, Group
from tsdiff_monitor.scores import ScoreBatch

if TYPE_CHECKING:
    import httpx

__all__ = [
    "Context",
    "Extent",
    "History",
    "Incident",
    "Kind",
    "Measured",
    "Notifier",
    "Query",
    "ReadRequest",
    "Reader",
    "Reading",
    "Receipt",
    "ReceiptKeeper",
    "Refresher",
    "Writer",
    "load_plugin",
    "plugin_types",
]

Kind = Literal["readers", "writers", "notifiers"]

_NONE = pd.Timedelta(0)


@dataclass(frozen=True)
class Context:
    """What the host gives every plug-in, injected so that tests need no patching.

    ``now`` returns Unix seconds; ``transport`` replaces the network under httpx (None: the real one); ``random``
    is for jitter; ``name`` is the name the user gave this instance; ``storage`` is a folder of its own for what must
    outlive the process (it need not exist yet; None: nothing is kept).
    """

    name: str = "test"
    now: Callable[[], float] = time.time
    transport: httpx.BaseTransport | None = None
    random: random.Random = field(default_factory=random.Random)
    storage: Path | None = None


@dataclass(frozen=True)
class Query:
    """One query of a monitor: what a reader is asked for. ``expr`` is in the reader's own language.

    The rest are options that a reader takes only if its class names them in ``query_options`` (a ``frozenset``);
    a configuration that gives another one is refused. ``step``: the query is asked this far apart, a multiple of the
    request's step, and each value is held over the rows until the next. ``offset``: the row at ``t`` holds the source's
    value at ``t - offset``. ``tz``: with a step of whole days, the rows of a day hold the value at that day's local
    midnight in this IANA zone. ``max_points_per_query``: how many points of a series one request to the source may ask.
    """

    name: str
    expr: str
    step: pd.Timedelta | None = None
    offset: pd.Timedelta = _NONE
    tz: str | None = None
    max_points_per_query: int | None = None


@dataclass(frozen=True)
class ReadRequest:
    """Rows ``start <= t < end`` of ``queries`` on a grid of ``step``, split into groups by the ``groupby`` labels."""

    queries: tuple[Query, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    step: pd.Timedelta
    groupby: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """A reader's answer. ``partial`` means that the source said it left something out: not to be scored as truth."""

    frames: Mapping[Group, Frame]
    warnings: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True)
class Incident:
    """A labelled incident, ``start <= t < end``. ``culprits`` are series names, empty where nobody knows them."""

    group: Group
    start: pd.Timestamp
    end: pd.Timestamp
    kind: str = ""
    culprits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Extent:
    """Where a source's data lies: rows ``fit_start <= t < fit_end`` to fit on, ``start <= t < end`` to score."""

    fit_start: pd.Timestamp
    fit_end: pd.Timestamp
    start: pd.Timestamp
    end: pd.Timestamp


@runtime_checkable
class Reader(Protocol):
    """Pulls frames from a source."""

    def read(self, request: ReadRequest) -> Reading:
        """Answer ``request``. Raises :class:`~tsdiff_monitor.errors.SourceError` when the source cannot.

        Every frame lies on the request's grid, covers exactly ``start <= t < end``, and holds NaN where the source
        has no value. A group none of whose series has a sample may be left out.
        """
        ...


@runtime_checkable
class History(Protocol):
    """Optional, beside :class:`Reader`: a source that knows where its data lies and which incidents are labelled."""

    def extents(self, groupby: tuple[str, ...]) -> Mapping[Group, Extent]:
        """Each group's default spans for ``backtest`` when the user gives neither ``--start`` nor ``--end``."""
        ...

    def incidents(self, request: ReadRequest) -> tuple[Incident, ...] | None:
        """The labelled incidents within the request's span and groups; None when the source carries no labels."""
        ...


@runtime_checkable
class Writer(Protocol):
    """Pushes scores back to a store of series."""

    def write(self, batch: ScoreBatch) -> None:
        """Store the rows; storing the same rows again changes nothing. Raises ``WriteError``."""
        ...

    def close(self) -> None:
        """Flush and release; safe to call twice."""
        ...


@runtime_checkable
class Notifier(Protocol):
    """Sends an event's changes to one place. Retrying and rate limits are the caller's business."""

    def notify(self, change: EventChange) -> None:
        """Deliver one change. Raises :class:`~tsdiff_monitor.errors.DeliveryError`, which says whether to retry."""
        ...


@runtime_checkable
class Measured(Protocol):
    """Optional: a plug-in that counts what it does."""

    def stats(self) -> Mapping[str, float]:
        """Numbers by name; names that end in ``_total`` only grow while the process runs."""
        ...


Receipt = Mapping[str, str]
"""What a place calls an event that it was told of: a message's id and channel, an annotation's number."""


@runtime_checkable
class ReceiptKeeper(Protocol):
    """Optional, beside :class:`Notifier`: one that must know what it sent before, to change or close it.

    The class says so by ``keeps_receipts = True``. The host stores the newest receipt of each event and notifier in the
    transaction that marks the delivery as made.
    """

    keeps_receipts: bool

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        """Deliver one change; ``receipt`` is what the event's last delivery returned. None keeps it as it is."""
        ...


@runtime_checkable
class Refresher(Protocol):
    """Optional, beside :class:`Notifier`: one whose alerts lapse unless they are sent again (Alertmanager)."""

    @property
    def refresh_every(self) -> timedelta:
        """How often :meth:`refresh` is called."""
        ...

    @property
    def keep_resolved(self) -> timedelta:
        """How long after its end a resolved event is still among those given to :meth:`refresh`."""
        ...

    def refresh(self, changes: Sequence[EventChange]) -> None:
        """Send again: the newest change of each open event, and of each resolved not long ago. Raises as ``notify``."""
        ...


@cache
def plugin_types(kind: Kind) -> Mapping[str, str]:
    """The installed plug-ins of a kind: type name to ``module:attribute``."""
    found = entry_points(group=f"tsdiff_monitor.{kind}")
    return {point.name: point.value for point in sorted(found, key=lambda point: point.name)}


def load_plugin(kind: Kind, type_name: str, *, key: str = "", file: str = "") -> type:
    """The plug-in class of a type. Raises :class:`ConfigError` naming the installed types when there is none."""
    for point in entry_points(group=f"tsdiff_monitor.{kind}", name=type_name):
        try:
            loaded = point.load()
        except Exception as error:  # a stranger's module may fail in any way; the user must learn which
            problem = ConfigProblem(key, f"the plug-in {type_name!r} ({point.value}) cannot be loaded: {error}")
            raise ConfigError(file, [problem]) from error
        if not isinstance(loaded, type):
            raise ConfigError(file, [ConfigProblem(key, f"the plug-in {type_name!r} ({point.value}) is not a class")])
        return loaded
    known = ", ".join(plugin_types(kind)) or "none"
    problem = ConfigProblem(key, f"there is no {kind[:-1]} of type {type_name!r}", f"installed types: {known}")
    raise ConfigError(file, [problem])
