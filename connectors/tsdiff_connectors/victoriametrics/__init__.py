"""VictoriaMetrics: a writer over its import API (docs/writers.md)."""

from tsdiff_connectors.victoriametrics.writer import VictoriaWriter

__all__ = ["VictoriaWriter"]
