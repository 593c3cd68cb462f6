"""How bad an event is: a rule over its peak score and its length, the same for every monitor.

Scores are calibrated (1 is the monitor's alarm threshold), so that the multiples below mean the same everywhere.
"""

from __future__ import annotations

from tsdiff_monitor.events.event import Severity

__all__ = ["severity_of"]

WARNING_PEAK = 1.5
WARNING_ROWS = 15
CRITICAL_PEAK = 4.0
LONG_CRITICAL_PEAK = 2.0
LONG_CRITICAL_ROWS = 30


def severity_of(peak: float, rows: int) -> Severity:
    """The severity of an event with this ``peak`` score and this many ``rows`` since its start.

    *critical* from a peak of 4, or of 2 when it lasts longer than 30 rows; *warning* from a peak of 1.5 or longer
    than 15 rows; *info* otherwise. It never falls when either argument grows.
    """
    if peak >= CRITICAL_PEAK or (peak >= LONG_CRITICAL_PEAK and rows > LONG_CRITICAL_ROWS):
        return Severity.critical
    if peak >= WARNING_PEAK or rows > WARNING_ROWS:
        return Severity.warning
    return Severity.info
