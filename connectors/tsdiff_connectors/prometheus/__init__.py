"""Reads metrics over the Prometheus query API, from Prometheus, Thanos, Mimir or VictoriaMetrics."""

from tsdiff_connectors.prometheus.config import PrometheusConfig
from tsdiff_connectors.prometheus.reader import PrometheusReader

__all__ = ["PrometheusConfig", "PrometheusReader"]
