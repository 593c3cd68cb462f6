"""Expected values of all metrics: each half of the metrics given the other half."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from tsdiff_monitor.timeseries.scores import Expected

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.protocol import Detector
    from tsdiff_monitor.timeseries.frame import Frame

__all__ = ["expected_of_all"]


def expected_of_all(
    detector: Detector,
    frame: Frame,
    *,
    first: int = 0,
    read: int = 16,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Expected:
    """The expected values, with bands, of all metrics in the rows from ``first`` on.

    Two passes for any number of metrics; one at a time, given all the others, would be closer and take as many
    passes as there are metrics. ``read`` as in :meth:`~tsdiff_monitor.detectors.protocol.Detector.expected`.
    """
    shape = (len(frame) - first, len(frame.names))
    middle, lower, upper = (np.full(shape, np.nan, np.float32) for _ in range(3))
    halves = [half for half in (range(0, shape[1], 2), range(1, shape[1], 2)) if half]
    for done, half in enumerate(halves):
        part = detector.expected(frame, [frame.names[k] for k in half], first=first, read=read)
        middle[:, half], lower[:, half], upper[:, half] = part.yhat, part.yhat_lower, part.yhat_upper
        progress(done + 1, len(halves))
    return Expected(frame.times[first:], frame.series, middle, lower, upper)
