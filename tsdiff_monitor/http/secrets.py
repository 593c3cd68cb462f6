"""Removes secrets from texts that are shown to people: messages of servers often repeat what they were sent."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import httpx

__all__ = ["basic_credentials", "secrets_in", "without_secrets"]

MASK = "<secret>"

_SHORT = 4
_PATH, _TOKEN = 8, 16  # characters: shorter ones are words of every message


def basic_credentials(username: str, password: str) -> str:
    """Value behind ``Basic`` in the header (RFC 7617, UTF-8)."""
    return base64.b64encode(f"{username}:{password}".encode()).decode("ascii")


def secrets_in(url: httpx.URL) -> tuple[str, ...]:
    """The parts of a whole address that may be secrets: services put tokens into its path and its parameters."""
    path = url.raw_path.decode("ascii").partition("?")[0].strip("/")
    parts = [path] if len(path) >= _PATH else []
    parts += [part for part in path.split("/") if len(part) >= _TOKEN]
    return (*parts, *(value for _, value in url.params.multi_items() if value))


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """``text`` with every secret masked, also where it is percent-encoded.

    A secret of less than four characters is masked only where it stands as a word of its own: a tenant "1" would
    otherwise make every text unreadable.
    """
    forms = {form for secret in secrets if secret for form in (secret, quote(secret, safe=""), quote_plus(secret))}
    for form in sorted(forms, key=len, reverse=True):  # the longest first: one may be part of another
        text = text.replace(form, MASK) if len(form) >= _SHORT else re.sub(rf"\b{re.escape(form)}\b", MASK, text)
    return text
