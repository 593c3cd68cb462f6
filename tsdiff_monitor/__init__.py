"""tsdiff-monitor: watches metrics with a conditional diffusion imputation model.

The public face of the library; the plug-in contracts are in :mod:`tsdiff_monitor.plugins`. Names are imported when they
are first used, so that ``import tsdiff_monitor`` loads neither torch nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tsdiff_monitor.system.version import __version__

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
    from tsdiff_monitor.detectors.registry import fit_detector, load_detector
    from tsdiff_monitor.plugins import Context, Notifier, Query, Reader, Reading, ReadRequest, Writer
    from tsdiff_monitor.timeseries.frame import Frame
    from tsdiff_monitor.timeseries.scores import Scores

__all__ = [
    "Context",
    "DiffusionDetector",
    "Frame",
    "Notifier",
    "Query",
    "ReadRequest",
    "Reader",
    "Reading",
    "Scores",
    "Writer",
    "__version__",
    "fit_detector",
    "load_detector",
]

_HOMES = {
    "DiffusionDetector": "tsdiff_monitor.detectors.diffusion.detector",
    "Frame": "tsdiff_monitor.timeseries.frame",
    "Scores": "tsdiff_monitor.timeseries.scores",
    "fit_detector": "tsdiff_monitor.detectors.registry",
    "load_detector": "tsdiff_monitor.detectors.registry",
    **dict.fromkeys(
        ("Context", "Notifier", "Query", "ReadRequest", "Reader", "Reading", "Writer"), "tsdiff_monitor.plugins"
    ),
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
