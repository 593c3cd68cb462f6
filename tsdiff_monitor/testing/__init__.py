"""Fakes, examples and conformance kits: for this project's own tests, and for those of plug-in authors.

The kits are classes to derive from in a pytest module; see ``docs/plugins.md``.
"""

from __future__ import annotations

from tsdiff_monitor.testing.examples import (
    example_batch,
    example_change,
    example_details,
    example_event,
    example_frame,
)
from tsdiff_monitor.testing.fakes import FakeClock, MemoryNotifier, MemoryReader, MemoryWriter
from tsdiff_monitor.testing.notifier_kit import HttpNotifierConformance, NotifierConformance
from tsdiff_monitor.testing.reader_kit import ReaderConformance
from tsdiff_monitor.testing.writer_kit import WriterConformance

__all__ = [
    "FakeClock",
    "HttpNotifierConformance",
    "MemoryNotifier",
    "MemoryReader",
    "MemoryWriter",
    "NotifierConformance",
    "ReaderConformance",
    "WriterConformance",
    "example_batch",
    "example_change",
    "example_details",
    "example_event",
    "example_frame",
]
