"""The embedded source: a seeded, physically plausible fleet of services with labelled incidents (docs/simulator.md)."""

from tsdiff_connectors.simulator.config import ScheduledIncident, SimulatorConfig
from tsdiff_connectors.simulator.reader import SimulatorReader

__all__ = ["ScheduledIncident", "SimulatorConfig", "SimulatorReader"]
