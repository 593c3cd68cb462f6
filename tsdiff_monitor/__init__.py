"""tsdiff-monitor: watches metrics with a conditional diffusion imputation model."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
