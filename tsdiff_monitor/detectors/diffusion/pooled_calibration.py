"""Thresholds of many groups together: what their scores are on rows that nothing was learned from.

Of groups whose history is too short to hold a part out, each is fit on the first three quarters, as if these were all
there is, and scored on the rest. What that says of thresholds is learned from all of them together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.scoring.holdout import holds_out
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.timeseries.frame import Frame

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["pooled_calibrations"]

_LEAST_GROUPS = 20
"""Fewer do not stand for all groups: each calibrates on its own, as a single group does."""
_MOST_GROUPS = 2000
"""More make the fit longer and the thresholds hardly better."""
_LEARNED = 0.75
_MODES: tuple[Mode, ...] = ("stream", "batch")


def pooled_calibrations(
    frames: Sequence[Frame],
    network: SharedNetwork,
    *,
    confirm_rows: int,
    quiet_rows: int,
    each: Callable[[], object] = lambda: None,
) -> dict[Mode, PooledCalibration]:
    """The pooled calibration of each mode; empty where too few histories are short, or they hold too few events.

    An event is over after ``quiet_rows`` rows. The same frames, in the same order, give the same result. ``each`` runs
    before each group, and may raise to give it up.
    """
    config = network.config
    served = config.model_copy(update={"adapt_steps": 0, "runtime": "torch", "precision": "fp32"})
    short = [frame for frame in frames if not holds_out(len(frame), config.window)]
    histories = [(frame, frame.rows(0, int(len(frame) * _LEARNED))) for frame in short]
    usable = [(frame, known) for frame, known in histories if len(known) >= config.window and known.observed.any()]
    if len(usable) < _LEAST_GROUPS:
        return {}
    if len(usable) > _MOST_GROUPS:
        chosen = np.random.default_rng(config.seed).choice(len(usable), _MOST_GROUPS, replace=False)
        usable = [usable[i] for i in np.sort(chosen)]
    stretches: dict[Mode, list[tuple[np.ndarray, int]]] = {mode: [] for mode in _MODES}
    for frame, known in usable:
        each()
        detector = DiffusionDetector.fit(known, served, base=network, confirm_rows=confirm_rows)
        for mode in _MODES:
            threshold = detector.threshold(mode, 1.0)
            stretches[mode].append((detector.score(frame, mode=mode).score * threshold, len(known)))
    calibrations: dict[Mode, PooledCalibration] = {}
    for mode, found in stretches.items():
        calibration = PooledCalibration.fit(found, confirm_rows=confirm_rows, quiet_rows=quiet_rows)
        if calibration is not None:
            calibrations[mode] = calibration
    return calibrations
