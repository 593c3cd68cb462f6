"""Suggestions for a word that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["did_you_mean"]


def did_you_mean(word: str, known: Iterable[str], what: str) -> str:
    """``did you mean `a`? keys: a, b``: the nearest known word, if one is near, and all of them."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1)
    guess = f"did you mean `{close[0]}`? " if close else ""
    return f"{guess}{what}: {', '.join(known) or 'none'}"
