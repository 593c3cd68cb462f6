"""Prometheus and what speaks its APIs: a reader of range queries, a writer over remote write (docs/prometheus.md)."""

from tsdiff_connectors.prometheus.config import PrometheusConfig
from tsdiff_connectors.prometheus.reader import PrometheusReader
from tsdiff_connectors.prometheus.writer import RemoteWriter

__all__ = ["PrometheusConfig", "PrometheusReader", "RemoteWriter"]
