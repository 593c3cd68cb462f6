"""InfluxDB 1, 2 and 3: a reader in their own languages or in one shorthand, and a writer (docs/influxdb.md)."""

from tsdiff_connectors.influxdb.config import InfluxConfig
from tsdiff_connectors.influxdb.reader import InfluxReader
from tsdiff_connectors.influxdb.writer import InfluxWriter

__all__ = ["InfluxConfig", "InfluxReader", "InfluxWriter"]
