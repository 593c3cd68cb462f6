"""Accuracy and speed, measured; run with ``python -m benchmarks.accuracy`` and the like."""
