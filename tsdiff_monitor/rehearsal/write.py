"""The files that a rehearsal leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

from tsdiff_monitor.rehearsal.outcome import Outcome
from tsdiff_monitor.rehearsal.page import render
from tsdiff_monitor.system.atomic_files import atomic_path

__all__ = ["FILES", "write_outcome"]

FILES = ("rehearsal.html", "rehearsal.json")
"""In the order of writing."""


def write_outcome(outcome: Outcome, directory: Path) -> None:
    """Write both files, each whole or not at all; the same outcome always yields the same bytes.

    Raises :class:`~tsdiff_monitor.errors.OutputError` when the folder cannot be written.
    """
    with atomic_path(directory / "rehearsal.html") as part:
        part.write_text(render(outcome), encoding="utf-8")
    with atomic_path(directory / "rehearsal.json") as part:
        part.write_text(json.dumps(outcome.to_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
