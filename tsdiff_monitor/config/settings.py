"""The ``settings`` section: settings of the whole process."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from tsdiff_monitor.delivery.routes import Route
from tsdiff_monitor.settings.fields import PositiveDuration, TimeZone
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["DeliverySettings", "Settings", "WebSettings"]

_COUNTED = timedelta(days=28)
_DAY = timedelta(days=1)


class WebSettings(StrictModel):
    """The page, the API and the metrics of the process itself."""

    listen_address: str = "127.0.0.1:8490"
    """Host and port to listen on; `0.0.0.0:8490` listens on every address, port 0 takes a free one."""

    @field_validator("listen_address")
    @classmethod
    def _check_address(cls, value: str) -> str:
        host, _, port = value.rpartition(":")
        if not host:
            raise ValueError("has no host; write it like 127.0.0.1:8490, or 0.0.0.0:8490 for every address")
        if ":" in host and not (host.startswith("[") and host.endswith("]")):
            raise ValueError("has a host with colons; write an IPv6 address in brackets, like [::1]:8490")
        if not (port.isascii() and port.isdigit() and int(port) <= 65535):
            raise ValueError("has no port between 0 and 65535; write it like 127.0.0.1:8490")
        return value

    @property
    def host(self) -> str:
        """The address to bind, without the brackets of IPv6."""
        return self.listen_address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to bind; 0 for any free one."""
        return int(self.listen_address.rpartition(":")[2])


class DeliverySettings(StrictModel):
    """Time limits of deliveries to notifiers."""

    give_up_after: PositiveDuration = timedelta(days=2)
    """A delivery that keeps failing is given up this long after its event changed, and kept among the dead ones."""
    attempt_timeout: PositiveDuration = timedelta(seconds=60)
    """An attempt that takes longer counts as failed; the notifier gets nothing more until it has returned."""


class Settings(StrictModel):
    """Settings of the whole process."""

    storage_path: Path = Path("tsdiff-data")
    """Folder of the state database and the fitted models; relative to the working directory."""
    timezone: TimeZone = "UTC"
    """IANA name of the time zone in which times of day are meant, like `Europe/Berlin`."""
    workers: int | None = Field(default=None, ge=1)
    """CPU threads to use; `null` means all cores."""
    max_catchup: PositiveDuration = timedelta(days=1)
    """After an outage, missed rows are scored at most this far back."""
    keep_events: PositiveDuration = timedelta(days=400)
    """Events that have been over for longer are deleted, with their history and feedback; at least `28d`."""
    keep_groups: PositiveDuration = timedelta(days=30)
    """Groups of which nothing was read for longer are deleted, with their models; at least `1d`."""
    web: WebSettings = WebSettings()
    """The page, the API and the metrics of the process itself."""
    routes: tuple[Route, ...] = ()
    """Rules for which notifiers get which events, beside those that a monitor names itself."""
    delivery: DeliverySettings = DeliverySettings()
    """Time limits of deliveries to notifiers."""

    @field_validator("keep_events")
    @classmethod
    def _counted(cls, value: timedelta) -> timedelta:
        if value < _COUNTED:
            raise ValueError("must be 28d or longer; the alarm rate is counted over four weeks")
        return value

    @field_validator("keep_groups")
    @classmethod
    def _a_day_at_least(cls, value: timedelta) -> timedelta:
        if value < _DAY:
            raise ValueError("must be 1d or longer; a group that is away for an hour would lose its model")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone named by ``timezone``."""
        return ZoneInfo(self.timezone)
