"""The severity of an event: a rule over its peak score, its length and its breadth, the same for every monitor.

Scores are calibrated (1 is the monitor's alarm threshold), so that the multiples below mean the same everywhere.
"""

from __future__ import annotations

import numpy as np

from tsdiff_monitor.events.event import Severity

__all__ = ["is_broad", "severity_of"]

WARNING_PEAK = 1.5
WARNING_ROWS = 15
CRITICAL_PEAK = 4.0
LONG_CRITICAL_PEAK = 2.0
LONG_CRITICAL_ROWS = 30
BROAD_SHARE = 0.5
BROAD_METRICS = 4
_ROUNDING = 1e-6  # of attributions in single precision


def severity_of(peak: float, rows: int, *, broad: bool = False) -> Severity:
    """The severity of an event with this ``peak`` score and this many ``rows`` since its start.

    *critical* from a peak of 4, or of 2 when it lasts longer than 30 rows or is ``broad``; *warning* from a peak of
    1.5 or longer than 15 rows; *info* otherwise. It never falls when any argument grows. Breadth does not count below
    a peak of 2: what barely crosses the threshold is often a little of everything.
    """
    if peak >= CRITICAL_PEAK or (peak >= LONG_CRITICAL_PEAK and (broad or rows > LONG_CRITICAL_ROWS)):
        return Severity.critical
    if peak >= WARNING_PEAK or rows > WARNING_ROWS:
        return Severity.warning
    return Severity.info


def is_broad(attribution: np.ndarray) -> bool:
    """True if at least half of the metrics, and four, are to blame for a row, by its attribution ``[K]`` (sum 1).

    ``1 / sum(attribution^2)`` counts them: n equal ones count as n metrics, small ones hardly count.
    """
    squares = float(np.square(attribution.astype(float)).sum())
    return squares > 0 and 1 / squares >= max(BROAD_SHARE * len(attribution), BROAD_METRICS) - _ROUNDING
