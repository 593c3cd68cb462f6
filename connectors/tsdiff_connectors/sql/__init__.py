"""Reads streams of events (payments, orders, log-ins) from a database as features per interval and group."""

from tsdiff_connectors.sql.reader import SqlReader

__all__ = ["SqlReader"]
