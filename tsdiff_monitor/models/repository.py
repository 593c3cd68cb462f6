"""The fitted models on disk: one folder per monitor and group, below the storage path.

Until a group's model has been fit, another may stand in for it, in a folder of its own below the group's. Where the
groups of a monitor share a network, it is in the folder ``shared`` beside theirs.

A model remembers a fingerprint of what it was fit on, so that a fit interrupted between groups, or asked for twice,
does only what is left to do.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.config import ModelConfig
from tsdiff_monitor.detectors.diffusion.runtimes import require_torch
from tsdiff_monitor.errors import ModelError, OutputError
from tsdiff_monitor.models.folders import subfolders, sweep_folder
from tsdiff_monitor.models.last_used import LastUsed
from tsdiff_monitor.system.atomic_files import atomic_path
from tsdiff_monitor.timeseries.frame import Frame, Group, group_name

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork
    from tsdiff_monitor.detectors.protocol import Detector

__all__ = ["ModelStore", "fingerprint", "folder_name"]

_FINGERPRINT = "fingerprint"
_COLD = "cold-start"
_SHARED = "shared"  # no group's: their folders end in a hash


def fingerprint(frame: Frame, config: ModelConfig, confirm_rows: int, base: SharedNetwork | None = None) -> str:
    """SHA-256 of everything a fit depends on, the shared network it is based on included."""
    digest = hashlib.sha256(config.model_dump_json(exclude={"cold_start"}).encode())  # that one changes no fit
    digest.update(repr((frame.start.value, frame.step.value, frame.names, confirm_rows)).encode())
    digest.update(frame.values.tobytes())
    if base is not None:
        digest.update(base.digest.encode())
    return digest.hexdigest()


class ModelStore:
    """Loads and keeps detectors. Thread-safe.

    The ``kept`` detectors used last stay in memory, and all shared networks. With more groups than that, each tick
    loads detectors again.
    """

    def __init__(self, root: Path, *, kept: int = 8192) -> None:
        self._root = root
        self._loaded: LastUsed[tuple[str, Group, bool], Detector] = LastUsed(kept)
        self._shared: dict[str, SharedNetwork] = {}
        self._lock = threading.Lock()

    def path(self, monitor: str, group: Group, *, cold: bool = False) -> Path:
        """The folder of a group's model, or of its ``cold`` start: readable, and distinct for any two groups."""
        readable = re.sub(r"[^\w.=-]+", "_", group_name(group))[:60]
        folder = self._root / folder_name(monitor) / f"{readable}-{_short_hash(repr(group))}"
        return folder / _COLD if cold else folder

    def is_current(self, monitor: str, group: Group, mark: str) -> bool:
        """True if the stored model was fit on exactly what ``mark`` stands for, and can be used."""
        try:
            self.get(monitor, group)  # first: while another process replaces the model, there is no fingerprint
            return (self.path(monitor, group) / _FINGERPRINT).read_bytes() == mark.encode()
        except (OSError, ModelError):
            return False

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
        """The group's model, or its ``cold`` start. Raises :class:`ModelError` when there is none that can be used."""
        from tsdiff_monitor.detectors.registry import load_detector

        with self._lock:
            known = self._loaded.get((monitor, group, cold))
        if known is not None:
            return known
        detector = load_detector(self.path(monitor, group, cold=cold))
        with self._lock:
            other = self._loaded.get((monitor, group, cold))  # of a thread that was faster
            return self._loaded.put((monitor, group, cold), detector) if other is None else other

    def put(self, monitor: str, group: Group, detector: Detector, mark: str) -> None:
        """Store a group's new model and use it from now on; its cold start, if any, has done its work."""
        folder = self.path(monitor, group)
        _save(detector, folder, mark, self._root / folder_name(monitor) / _SHARED)
        with self._lock:
            self._loaded.put((monitor, group, False), detector)
            self._loaded.discard((monitor, group, True))
        shutil.rmtree(folder / _COLD, ignore_errors=True)  # what is left over costs a little space, and is never used

    def put_cold(self, monitor: str, group: Group, detector: Detector) -> None:
        """Store what scores the group until its model has been fit."""
        detector.save(self.path(monitor, group, cold=True))
        with self._lock:
            self._loaded.put((monitor, group, True), detector)

    def get_network(self, monitor: str, mark: str | None = None) -> SharedNetwork:
        """The network that the monitor's groups share; with ``mark``, only if it was fit on what that stands for.

        Raises :class:`ModelError` when there is none that can be used.
        """
        require_torch("a shared network needs torch, which is not installed: pip install torch")
        from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

        folder = self._root / folder_name(monitor) / _SHARED
        with self._lock:
            network = self._shared.get(monitor)
        if network is None:
            network = SharedNetwork.load(folder)
            with self._lock:
                network = self._shared.setdefault(monitor, network)
        try:
            current = mark is None or (folder / _FINGERPRINT).read_bytes() == mark.encode()
        except OSError:
            current = False
        if not current:
            raise ModelError(f"{folder}: the shared network was fit on something else; fit again")
        return network

    def put_shared(self, monitor: str, network: SharedNetwork, mark: str) -> None:
        """Store the network that the monitor's groups share, and use it from now on."""
        _save(network, self._root / folder_name(monitor) / _SHARED, mark)
        with self._lock:
            self._shared[monitor] = network

    def is_usable(self, monitor: str, group: Group) -> bool:
        """True if a model is stored for the group that can be loaded."""
        try:
            self.get(monitor, group)
        except ModelError:
            return False
        return True

    def exists(self, monitor: str, group: Group) -> bool:
        """True if a model is stored for the group, usable or not."""
        return (self.path(monitor, group) / "card.json").exists()

    def delete(self, monitor: str, group: Group) -> None:
        """Remove the group's models, from the disk as far as that can be done."""
        with self._lock:
            for cold in (False, True):
                self._loaded.discard((monitor, group, cold))
        shutil.rmtree(self.path(monitor, group), ignore_errors=True)  # what is left over is swept later

    def sweep(
        self,
        known: Mapping[str, Collection[Group]],
        before: Mapping[str, pd.Timestamp],
        others_before: pd.Timestamp | None = None,
    ) -> int:
        """Remove folders of groups that are not ``known`` and did not change since ``before``; returns how many.

        Both by monitor, which is kept whole where ``before`` lacks it. Monitors that ``known`` lacks go entirely, the
        networks that their groups shared included, where nothing changed since ``others_before``. Folders that are not
        named like one of ours stay.
        """
        kept = {
            folder_name(monitor): {self.path(monitor, group).name for group in groups}
            for monitor, groups in known.items()
        }
        limits = {folder_name(monitor): time for monitor, time in before.items()}
        gone = 0
        for folder in subfolders(self._root):
            configured = folder.name in kept
            limit = limits.get(folder.name) if configured else others_before
            if limit is not None:
                gone += sweep_folder(folder, kept.get(folder.name, ()), limit, shared=None if configured else _SHARED)
        return gone


def _save(model: Detector | SharedNetwork, folder: Path, mark: str, shared: Path | None = None) -> None:
    """Store a model and what it was fit on; what the folder ``shared`` holds already is linked."""
    try:  # before the model: stopped in between, the new one must not pass for what the old one was fit on
        (folder / _FINGERPRINT).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the model cannot be stored here ({error.strerror or error})") from error
    if shared is not None and shared.exists():
        from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

        options = {"shared": shared} if isinstance(model, DiffusionDetector) else {}
    else:
        options = {}
    model.save(folder, **options)
    with atomic_path(folder / _FINGERPRINT) as path:
        path.write_text(mark)


def folder_name(monitor: str) -> str:
    """The monitor's name, changed where it would not do as a single folder's."""
    readable = re.sub(r"[^\w.-]+", "_", monitor)[:60]
    if readable == monitor and monitor.strip("."):
        return monitor
    return f"{readable}-{_short_hash(monitor)}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
