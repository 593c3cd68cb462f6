"""Configuration of the `simulator` reader."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Literal, Self

from pydantic import AwareDatetime, Field, field_validator, model_validator

from tsdiff_connectors.simulator.fleet import METRICS, SERVICES
from tsdiff_monitor.settings.durations import Duration, format_duration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["IncidentKind", "ScheduledIncident", "SimulatorConfig"]

IncidentKind = Literal[
    "memory_leak",
    "cpu_saturation",
    "slow_dependency",
    "error_burst",
    "traffic_drop",
    "network_loss",
    "noisy_neighbour",
    "flat_metric",
    "missing_metric",
]


class ScheduledIncident(StrictModel):
    """One incident of the replayed span."""

    kind: IncidentKind
    """The kind of fault."""
    service: str
    """The service where it starts; what it does to the others follows from the call graph."""
    after: Duration
    """The time at which it starts, counted from the start of the replayed span."""
    lasts: Duration
    """Its duration."""
    severity: float = Field(default=1.0, gt=0, le=3)
    """Its strength; 1 is clear to see. It has no meaning for `flat_metric` and `missing_metric`."""
    metric: str | None = None
    """Which metric freezes or goes missing, a name or a pattern such as `latency_*`; only for `flat_metric` and
    `missing_metric`, where it is `cpu_percent` when left out. `*` takes the whole service away."""

    @field_validator("lasts")
    @classmethod
    def _positive(cls, value: timedelta) -> timedelta:
        return _above_zero(value)

    @model_validator(mode="after")
    def _metric_fits_kind(self) -> Self:
        if self.metric is None:
            return self
        if self.kind not in ("flat_metric", "missing_metric"):
            raise ValueError(f"metric is only for flat_metric and missing_metric, not for {self.kind}; leave it out")
        if not self.metrics:
            raise ValueError(f"metric {self.metric!r} matches none of the metrics {', '.join(METRICS)}")
        return self

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that freeze or go missing; empty for the other kinds."""
        if self.kind not in ("flat_metric", "missing_metric"):
            return ()
        return tuple(name for name in METRICS if fnmatchcase(name, self.metric or "cpu_percent"))


# Six kinds over one day, at least two and a half hours apart: the services are numbers into the fleet.
_DEFAULT_DAY: tuple[tuple[IncidentKind, int, int, int], ...] = (
    ("memory_leak", 1, 130, 80),
    ("cpu_saturation", 3, 380, 40),
    ("slow_dependency", 2, 600, 50),
    ("error_burst", 1, 830, 30),
    ("traffic_drop", 0, 1030, 45),
    ("network_loss", 3, 1270, 35),
)


class SimulatorConfig(StrictModel):
    """A simulated fleet of services that call each other, with labelled incidents."""

    seed: int = 0
    """Everything follows from it: the same seed gives the same values, whichever span is read."""
    step: Duration = timedelta(minutes=1)
    """The fleet's own time step; a monitor's `step` must be a multiple of it, and takes means over it."""
    services: int = Field(default=4, ge=1, le=len(SERVICES))
    """Number of services in the fleet; the first is the gateway, through which most traffic comes."""
    start: AwareDatetime = datetime(2026, 1, 5, tzinfo=UTC)
    """The start of the history. Values exist at every other time too."""
    history: Duration = timedelta(days=14)
    """Length of the span to fit on, which holds no incidents."""
    replay: Duration = timedelta(days=1)
    """Length of the span after it to score, which holds the incidents."""
    incidents: tuple[ScheduledIncident, ...] | None = None
    """The incidents of the replayed span. Left out: six of different kinds over one day, of which those that end
    within `replay` take place. `[]`: none."""
    repeat_every: Duration | None = None
    """Repeat the incidents this often, for ever, from the start of the replayed span on, so that a live run keeps
    having some. Left out: they happen once."""

    @field_validator("step", "history", "replay", "repeat_every")
    @classmethod
    def _positive(cls, value: timedelta | None) -> timedelta | None:
        return value if value is None else _above_zero(value)

    @field_validator("step")
    @classmethod
    def _divides_a_day(cls, value: timedelta) -> timedelta:
        if timedelta(days=1) % value or value < timedelta(seconds=1):
            raise ValueError(f"{format_duration(value)} does not divide a day into equal steps of at least 1s")
        return value

    @model_validator(mode="after")
    def _incidents_fit(self) -> Self:
        names = [service.name for service in SERVICES[: self.services]]
        for number, incident in enumerate(self.incidents or ()):
            if incident.service not in names:
                raise ValueError(
                    f"incidents.{number}.service: there is no service {incident.service!r} in a fleet of "
                    f"{self.services}; its services are {', '.join(names)}"
                )
            if incident.after + incident.lasts > self.replay:
                raise ValueError(
                    f"incidents.{number}: it ends {format_duration(incident.after + incident.lasts)} into the replayed "
                    f"span, which is only {format_duration(self.replay)} long; make `replay` longer or start it earlier"
                )
        longest = max((one.after + one.lasts for one in self.schedule), default=timedelta(0))
        if self.repeat_every is not None and self.repeat_every < longest:
            raise ValueError(
                f"repeat_every: {format_duration(self.repeat_every)} is shorter than the incidents' schedule, "
                f"which takes {format_duration(longest)}"
            )
        return self

    @property
    def schedule(self) -> tuple[ScheduledIncident, ...]:
        """The incidents of one replayed span."""
        return tuple(self._default_day()) if self.incidents is None else self.incidents

    def _default_day(self) -> Iterator[ScheduledIncident]:
        for kind, number, after, lasts in _DEFAULT_DAY:
            if timedelta(minutes=after + lasts) <= self.replay:
                yield ScheduledIncident(
                    kind=kind,
                    service=SERVICES[number % self.services].name,
                    after=timedelta(minutes=after),
                    lasts=timedelta(minutes=lasts),
                )


def _above_zero(value: timedelta) -> timedelta:
    if value <= timedelta(0):
        raise ValueError("it must be longer than 0s")
    return value
