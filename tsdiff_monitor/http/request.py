"""Requests, answers and the context of the HTTP client."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict

import httpx

__all__ = ["HttpContext", "HttpResponse", "Parameters", "RequestParts", "given", "success"]

Value = str | int | float | bool
Parameters = Mapping[str, Value | Sequence[Value] | None]
"""Names to values or lists of values, for the address or a form; None leaves a name out."""


class HttpContext(Protocol):
    """Services of the host that the client needs; :class:`tsdiff_monitor.plugins.Context` has it all."""

    @property
    def name(self) -> str:
        """The name that the user gave the plug-in."""
        ...

    @property
    def now(self) -> Callable[[], float]:
        """Unix seconds."""
        ...

    @property
    def transport(self) -> httpx.BaseTransport | None:
        """Replaces the network in tests."""
        ...

    @property
    def random(self) -> random.Random:
        """For the jitter of pauses."""
        ...


@dataclass(frozen=True)
class HttpResponse:
    """An answer, decompressed. The names of ``headers`` are found in upper and lower case."""

    status: int
    headers: Mapping[str, str]
    content: bytes = field(repr=False)

    def json(self) -> Any:
        """The body's JSON; None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def text(self) -> str:
        """The body as text, damaged bytes replaced."""
        return self.content.decode("utf-8", "replace").strip()


def success(status: int) -> bool:
    """True for a status of 2xx."""
    return 200 <= status < 300


class RequestParts(TypedDict, total=False):
    """Optional parts of a request."""

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
    remedies: Mapping[int, str]
    """Status to what the user can do about it, in place of the general advice."""
    secrets: Collection[str]
    """Further texts that no message may show, such as a token among the ``headers``."""
    read: int | None
    """At most so many bytes of the answer are read, and a body that breaks off or is late is cut short: the status has
    said already whether the request was taken. None: all of it or a failure."""


def given(parameters: Parameters) -> dict[str, Any]:
    """``parameters`` without those that are None."""
    return {name: value for name, value in parameters.items() if value is not None}
