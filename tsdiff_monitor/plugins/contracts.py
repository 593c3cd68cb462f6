"""The contracts of readers, writers and notifiers, and the values that they exchange with the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Protocol, runtime_checkable

import pandas as pd

from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.timeseries.frame import Frame, Group
from tsdiff_monitor.timeseries.scores import ScoreBatch

__all__ = [
    "Closable",
    "Extent",
    "GroupSelector",
    "History",
    "Incident",
    "LabelledSpan",
    "Measured",
    "NeedsPackages",
    "Notifier",
    "Paced",
    "Query",
    "ReadRequest",
    "Reader",
    "Reading",
    "Receipt",
    "ReceiptKeeper",
    "Refresher",
    "Writer",
]

_NONE = pd.Timedelta(0)


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
    """Rows ``start <= t < end`` of ``queries`` on a grid of ``step``, split into groups by the ``groupby`` labels.

    ``groups``: only these are wanted, None: all. A reader may answer with others as well, which are dropped; one that
    can ask its source for them alone says so (:class:`GroupSelector`).
    """

    queries: tuple[Query, ...]
    start: pd.Timestamp
    end: pd.Timestamp
    step: pd.Timedelta
    groupby: tuple[str, ...] = ()
    groups: frozenset[Group] | None = None


@dataclass(frozen=True)
class Reading:
    """A reader's answer. ``partial`` means that the source said it left something out: not to be scored as truth."""

    frames: Mapping[Group, Frame]
    warnings: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True)
class LabelledSpan:
    """A labelled incident, ``start <= t < end``. ``culprits`` are series names, empty where they are not known."""

    group: Group
    start: pd.Timestamp
    end: pd.Timestamp
    kind: str = ""
    culprits: tuple[str, ...] = ()


Incident = LabelledSpan
"""The earlier name of :class:`LabelledSpan`, for plug-ins that use it."""


@dataclass(frozen=True)
class Extent:
    """The extent of a source's data: rows ``fit_start <= t < fit_end`` to fit on, ``start <= t < end`` to score."""

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

    def incidents(self, request: ReadRequest) -> tuple[LabelledSpan, ...] | None:
        """The labelled incidents within the request's span and groups; None when the source carries no labels."""
        ...


@runtime_checkable
class GroupSelector(Protocol):
    """Optional, beside :class:`Reader`: one that reads only ``ReadRequest.groups`` from its source, at less cost.

    The class says so by ``selects_groups = True``. The host then reads long histories in portions of groups.
    """

    @property
    def selects_groups(self) -> bool:
        """True; an attribute of the class or of the reader."""
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
    """Sends an event's changes to one place. Retrying and rate limits are the caller's business.

    A notifier gets one call at a time, in a thread of its own. One that takes longer than
    ``settings.delivery.attempt_timeout`` counts as failed; the next one waits for its return.
    """

    def notify(self, change: EventChange) -> None:
        """Deliver one change. Raises :class:`~tsdiff_monitor.errors.DeliveryError`, which says whether to retry."""
        ...


@runtime_checkable
class Closable(Protocol):
    """Optional: a reader or notifier that holds connections or files. Writers always have it."""

    def close(self) -> None:
        """Release what is held; safe to call twice."""
        ...


@runtime_checkable
class NeedsPackages(Protocol):
    """Optional: a plug-in whose class names packages that it imports only when it works.

    A configuration with an entry of its type is refused where one of them is not installed, with the command that
    installs it; the class itself, and so its keys, can be had without.
    """

    packages: ClassVar[tuple[str, ...]]
    """Top-level modules, like ``("sqlalchemy",)``."""


@runtime_checkable
class Measured(Protocol):
    """Optional: a plug-in that counts what it does."""

    def stats(self) -> Mapping[str, float]:
        """Numbers by name; names that end in ``_total`` only grow while the process runs."""
        ...


@runtime_checkable
class Paced(Protocol):
    """Optional, beside :class:`Notifier`: one whose place takes only so many messages at a time."""

    @property
    def pace(self) -> float:
        """Seconds between two messages; an attribute of the class or of the notifier."""
        ...


Receipt = Mapping[str, str]
"""A place's own name for an event that it was sent: a message's id and channel, an annotation's number."""


@runtime_checkable
class ReceiptKeeper(Protocol):
    """Optional, beside :class:`Notifier`: one that must know what it sent before, to change or close it.

    The class says so by ``keeps_receipts = True``. The host stores the newest receipt of each event and notifier in the
    transaction that marks the delivery as made.
    """

    @property
    def keeps_receipts(self) -> bool:
        """True; an attribute of the class or of the notifier."""
        ...

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        """Deliver one change; ``receipt`` is what the event's last delivery returned. None keeps it as it is."""
        ...


@runtime_checkable
class Refresher(Protocol):
    """Optional, beside :class:`Notifier`: one whose alerts lapse unless they are sent again (Alertmanager)."""

    @property
    def refresh_every(self) -> timedelta:
        """Time between two calls of :meth:`refresh`."""
        ...

    @property
    def keep_resolved(self) -> timedelta:
        """Time after its end during which a resolved event is still among those given to :meth:`refresh`."""
        ...

    def refresh(self, changes: Sequence[EventChange]) -> None:
        """Send again: the newest change of each open event, and of each resolved not long ago. Raises as ``notify``.

        Never called during ``notify``, and called before the first ``notify`` of a process, unless there is no event.
        """
        ...
