"""The rehearsal: incidents of known kinds put into a monitor's own normal data, through the production pipeline.

It shows which incidents the monitor would report, how late and with which culprits, before a real one does
(docs/rehearsal.md).
"""

from tsdiff_monitor.rehearsal.outcome import Outcome, Trial
from tsdiff_monitor.rehearsal.run import Options, rehearse

__all__ = ["Options", "Outcome", "Trial", "rehearse"]
