"""The fitted models on disk: one folder per monitor and group, below the storage path.

A model remembers a fingerprint of what it was fit on, so that a fit interrupted between groups, or asked for twice,
does only what is left to do.
"""

from __future__ import annotations

import hashlib
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from tsdiff_monitor.config.models import DiffusionModelConfig
from tsdiff_monitor.errors import ModelError, OutputError
from tsdiff_monitor.frame import Frame, Group, group_name
from tsdiff_monitor.outputs import atomic_path

if TYPE_CHECKING:
    from tsdiff_monitor.detector import DiffusionDetector

__all__ = ["ModelStore", "fingerprint", "folder_name"]

_FINGERPRINT = "fingerprint"


def fingerprint(frame: Frame, config: DiffusionModelConfig, confirm_rows: int) -> str:
    """SHA-256 of everything a fit depends on."""
    digest = hashlib.sha256(config.model_dump_json().encode())
    digest.update(repr((frame.start.value, frame.step.value, frame.names, confirm_rows)).encode())
    digest.update(frame.values.tobytes())
    return digest.hexdigest()


class ModelStore:
    """Loads and keeps detectors. Thread-safe; loaded models stay in memory until they are fit again."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._loaded: dict[tuple[str, Group], DiffusionDetector] = {}
        self._lock = threading.Lock()

    def path(self, monitor: str, group: Group) -> Path:
        """The folder of a group's model: readable, and distinct for any two groups."""
        readable = re.sub(r"[^\w.=-]+", "_", group_name(group))[:60]
        return self._root / folder_name(monitor) / f"{readable}-{_short_hash(repr(group))}"

    def is_current(self, monitor: str, group: Group, mark: str) -> bool:
        """Whether the stored model was fit on exactly what ``mark`` stands for, and can be used."""
        try:
            self.get(monitor, group)  # first: while another process replaces the model, there is no fingerprint
            return (self.path(monitor, group) / _FINGERPRINT).read_bytes() == mark.encode()
        except (OSError, ModelError):
            return False

    def get(self, monitor: str, group: Group) -> DiffusionDetector:
        """The group's model. Raises :class:`ModelError` when there is none, or it cannot be used."""
        from tsdiff_monitor.detector import DiffusionDetector

        with self._lock:
            known = self._loaded.get((monitor, group))
        if known is not None:
            return known
        detector = DiffusionDetector.load(self.path(monitor, group))
        with self._lock:
            return self._loaded.setdefault((monitor, group), detector)

    def put(self, monitor: str, group: Group, detector: DiffusionDetector, mark: str) -> None:
        """Store a group's new model and use it from now on."""
        folder = self.path(monitor, group)
        try:  # before the model: stopped in between, the new one must not pass for what the old one was fit on
            (folder / _FINGERPRINT).unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: the model cannot be stored here ({error.strerror or error})") from error
        detector.save(folder)
        with atomic_path(folder / _FINGERPRINT) as path:
            path.write_text(mark)
        with self._lock:
            self._loaded[(monitor, group)] = detector

    def is_usable(self, monitor: str, group: Group) -> bool:
        """Whether a model is stored for the group that can be loaded."""
        try:
            self.get(monitor, group)
        except ModelError:
            return False
        return True

    def exists(self, monitor: str, group: Group) -> bool:
        """Whether a model is stored for the group, usable or not."""
        return (self.path(monitor, group) / "card.json").exists()


def folder_name(monitor: str) -> str:
    """The monitor's name, changed where it would not do as a single folder's."""
    readable = re.sub(r"[^\w.-]+", "_", monitor)[:60]
    if readable == monitor and monitor.strip("."):
        return monitor
    return f"{readable}-{_short_hash(monitor)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
