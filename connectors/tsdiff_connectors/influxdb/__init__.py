"""The InfluxDB reader: versions 1, 2 and 3 in their own languages or in one short form (docs/influxdb.md)."""

from tsdiff_connectors.influxdb.config import InfluxConfig
from tsdiff_connectors.influxdb.reader import InfluxReader

__all__ = ["InfluxConfig", "InfluxReader"]
