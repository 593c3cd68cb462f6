"""The class behind each model ``type``: fitting and loading detectors of every kind.

Detectors are imported when they are needed: a baseline never loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tsdiff_monitor.detectors.cards import CARD, read_raw_card
from tsdiff_monitor.detectors.config import MODEL_TYPES, ModelConfig
from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import CardVersionError, DamagedModelError
from tsdiff_monitor.timeseries.frame import Frame

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["fit_detector", "load_detector"]

_CLASSES = {
    "diffusion": "tsdiff_monitor.detectors.diffusion.detector:DiffusionDetector",
    "baseline": "tsdiff_monitor.detectors.baseline.detector:BaselineDetector",
    "csdi_reference": "tsdiff_monitor.detectors.csdi.detector:CsdiDetector",
}
assert _CLASSES.keys() == MODEL_TYPES.keys()


def fit_detector(
    frame: Frame,
    config: ModelConfig,
    *,
    base: SharedNetwork | None = None,
    confirm_rows: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Detector:
    """Fit the kind of detector that ``config`` describes, on ``base`` where groups share a network.

    Raises :class:`~tsdiff_monitor.errors.DataError`.
    """
    options = {} if base is None else {"base": base}
    fitted: Detector = _class(config.type).fit(
        frame, config, confirm_rows=confirm_rows, progress=progress, clock=clock, **options
    )
    return fitted


def load_detector(directory: Path) -> Detector:
    """The detector stored in a folder, of any kind. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
    path, card = directory / CARD, read_raw_card(directory)
    kind = card.get("kind") if isinstance(card, dict) else None
    if not isinstance(kind, str):
        raise DamagedModelError(f"{path}: damaged, it does not say which kind of model it is; fit again")
    if kind not in _CLASSES:
        raise CardVersionError(f"{path}: a model of kind {kind!r}, which this version does not know; fit again")
    loaded: Detector = _class(kind).load(directory)
    return loaded


def _class(kind: str) -> Any:
    module, _, name = _CLASSES[kind].partition(":")
    return getattr(import_module(module), name)
