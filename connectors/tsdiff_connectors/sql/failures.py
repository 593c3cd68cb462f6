"""Failures of the database, in the user's words and without secrets.

PostgreSQL's codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import exc

from tsdiff_monitor.errors import SourceError

__all__ = ["explained", "masked", "safe_url"]

_BY_CODE = (
    ("28", "auth", "check user and password in `url`"),
    ("3D000", "not_found", "check the database's name in `url`"),
    ("42501", "auth", "grant the user SELECT"),
    ("25006", "read_only", "`query` may only read"),
    ("57014", "timeout", "add an index on the time column, ask for less, or raise `statement_timeout`"),
    ("42P01", "not_found", "check `table` or `query`"),
    ("42", "bad_request", "check the query"),
    ("22", "bad_data", "correct the data, or convert the column in a `query` of your own"),
)
_BY_TEXT = (
    ("password authentication failed", "auth", "check user and password in `url`"),
    ("no password supplied", "auth", "put the password into `url`"),
    ("no pg_hba.conf entry", "auth", "let the server's pg_hba.conf admit this client"),
    ('role "', "auth", "check the user's name in `url`"),
    ('database "', "not_found", "check the database's name in `url`"),
    ("unable to open database file", "not_found", "check the path in `url`"),
    ("disk i/o error", "unavailable", "check the path in `url`, and the disk"),
    ("file is not a database", "bad_data", "name a file that SQLite wrote"),
    ("malformed", "bad_data", "the file is damaged; restore it from a backup"),
    (
        "user-defined function raised",
        "bad_data",
        "times must be text in ISO 8601, like 2024-05-01 13:00:00; correct them",
    ),
    ("readonly", "read_only", "`query` may only read"),
    ("not authorized", "read_only", "`query` may only read"),
    ("interrupted", "timeout", "add an index on the time column, ask for less, or raise `statement_timeout`"),
    ("locked", "locked", "another program is writing; it is tried again at the next tick"),
    ("timeout expired", "timeout", "check that the server is up, or raise `connect_timeout`"),
    ("no such table", "not_found", "check `table` or `query`"),
    ("no such", "bad_request", "check the query"),
    ("syntax error", "bad_request", "check `query`"),
)
_RECOVERABLE = {"connect", "locked", "timeout", "busy", "unavailable"}


def safe_url(url: sa.URL) -> str:
    """The parts of an address that are no secret: ``postgresql://host:port/name``."""
    backend = url.get_backend_name()
    if backend == "sqlite":
        return f"sqlite:///{url.database}"
    return f"{backend}://{url.host or 'local'}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def masked(text: str, url: sa.URL) -> str:
    """``text`` without the address's password, nor any value after its ``?`` (some drivers take secrets there)."""
    secrets = {str(url.password or "")}
    for value in url.query.values():
        secrets |= {value} if isinstance(value, str) else set(value)
    for secret in sorted(secrets - {""}, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def explained(error: exc.SQLAlchemyError, url: sa.URL) -> SourceError:
    """The error to raise instead; do so ``from None``, since drivers may put what they were given into theirs."""
    if isinstance(error, exc.TimeoutError):
        return _made(url, "all its connections are in use", "busy", "raise `pool_size`, or let fewer monitors share it")
    if isinstance(error, exc.ArgumentError):
        return _made(url, masked(_first_line(error), url), "config", "check `url`")
    if not isinstance(error, exc.DBAPIError):
        return _made(url, masked(_first_line(error), url), "bad_request", "check the reader's configuration")
    said = masked(_first_line(error.orig or error), url)
    code = getattr(error.orig, "sqlstate", None) or ""
    for start, reason, remedy in _BY_CODE:
        if code.startswith(start):
            return _made(url, said, reason, remedy)
    for part, reason, remedy in _BY_TEXT:
        if not code and part in said.lower():
            return _made(url, said, reason, remedy)
    if error.connection_invalidated or isinstance(error, (exc.OperationalError, exc.InterfaceError)):
        return _made(url, f"no connection: {said}", "connect", "check that the server is up and the address in `url`")
    return _made(url, said, "unavailable", "check the server's log")


def _made(url: sa.URL, what: str, reason: str, remedy: str) -> SourceError:
    return SourceError(f"{safe_url(url)}: {what}; {remedy}", reason=reason, recoverable=reason in _RECOVERABLE)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300].rstrip(".; ")
