"""Random numbers of one fit, independent of those that other threads draw.

torch's layers initialise themselves, and drop out, from one generator that all threads share. Here every random
operation of a block gets a generator of its own instead (https://pytorch.org/docs/stable/notes/extending.html,
"Extending all torch API with modes"). A mode belongs to the thread that enters it: nothing is locked, nothing restored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["drawn_from", "not_drawn", "seeded"]

_aten = torch.ops.aten
_WITH_GENERATOR = {_aten.randn.default: _aten.randn.generator}
"""Operations that take a generator in an overload of their own."""
_EMPTY = {_aten.randn.default: _aten.empty.memory_format}
_IN_PLACE = {_aten.uniform_.default, _aten.normal_.default}


def seeded(seed: int) -> torch.Generator:
    """A new generator that begins at ``seed``: it draws what torch's own would after ``torch.manual_seed(seed)``."""
    return torch.Generator().manual_seed(seed)


def drawn_from(generator: torch.Generator) -> AbstractContextManager[object]:
    """Draw all random numbers of the block, in this thread, from ``generator`` where none is given.

    An operation that can only use torch's global generator raises :class:`RuntimeError`.
    """

    def draw(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        function = _WITH_GENERATOR.get(function, function)
        if not any(argument.name == "generator" for argument in function._schema.arguments):
            raise RuntimeError(f"{function} cannot draw from a generator of its own; use another operation")
        return function(*args, **{**kwargs, "generator": generator})

    return _RandomOperations(draw)


def not_drawn() -> AbstractContextManager[object]:
    """Leave out the random first weights of networks built in the block, in this thread: they are loaded next.

    Until then such weights hold what was in memory.
    """

    def skip(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if function in _IN_PLACE:
            return args[0]
        if function in _EMPTY:
            return _EMPTY[function](*args, **kwargs)
        raise RuntimeError(f"{function} draws numbers that no stored weights replace")

    return _RandomOperations(skip)


class _RandomOperations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Hands the random operations that have no generator to ``replace``; all others run as they are."""

    def __init__(self, replace: Callable[[Any, tuple[Any, ...], dict[str, Any]], Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._replace = replace

    def __torch_dispatch__(
        self, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named = dict(kwargs or {})
        if torch.Tag.nondeterministic_seeded in function.tags and named.get("generator") is None:
            return self._replace(function, args, named)
        return function(*args, **named)
