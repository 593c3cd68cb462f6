"""The methods compared, by name: baselines that most deep papers lose to, and this project's detector."""

from __future__ import annotations

from benchmarks.methods import density, forecasting, linear, neighbours, product, simple, univariate
from benchmarks.methods.base import Method, Setting
from tsdiff_monitor.errors import DataError

__all__ = ["BASELINES", "DEFAULT", "METHODS", "Method", "Setting", "chosen"]

BASELINES: dict[str, Method] = {
    **simple.METHODS,
    **linear.METHODS,
    **neighbours.METHODS,
    **forecasting.METHODS,
    **univariate.METHODS,
}
METHODS: dict[str, Method] = {**BASELINES, **product.METHODS, **density.METHODS}
DEFAULT = (*BASELINES, "diffusion", "diffusion_stream", "cold_start")
"""The methods that run when none is named. The others are parts of the detector, alternatives to it, or take hours."""


def chosen(names: str) -> list[str]:
    """The methods of a comma-separated list, ``baselines`` standing for all of those; :class:`DataError` for others."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    listed = [each for name in wanted for each in (BASELINES if name == "baselines" else [name])]
    if unknown := [name for name in listed if name not in METHODS]:
        raise DataError(f"there is no method {', '.join(unknown)}; known: {', '.join(METHODS)} (or baselines)")
    if not listed:
        raise DataError(f"no method is named; known: {', '.join(METHODS)} (or baselines)")
    return list(dict.fromkeys(listed))
