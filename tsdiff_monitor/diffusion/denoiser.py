"""The network as scoring sees it, whichever runtime computes it, and scoring in steps.

Scoring asks for network evaluations one at a time (:class:`DenoiseRequest`). Written as a generator (:data:`Steps`), it
does not know who answers: :func:`answered` asks one network at once, and a batch scorer answers the requests of many
groups together (:mod:`tsdiff_monitor.pipeline.batch`).
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

__all__ = ["AnyMetrics", "DenoiseRequest", "Steps", "WindowDenoiser", "answered"]

_T = TypeVar("_T")


@runtime_checkable
class WindowDenoiser(Protocol):
    """D(x; σ | given cells) on plain arrays: by torch (:class:`~tsdiff_monitor.diffusion.imputer.Imputer`) or by ONNX
    Runtime (:class:`~tsdiff_monitor.diffusion.onnx_denoiser.OnnxDenoiser`)."""

    def denoise_arrays(
        self, noisy: np.ndarray, sigma: float | np.ndarray, windows: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """The expected clean value of every cell, float32 ``[B, L, K]``.

        ``target[B, L, K]`` cells are read from ``noisy`` (float32, at noise level ``sigma``, one for all windows or
        ``[B]``), all others are given as they are in ``windows`` (float32, scaled units), except missing ones (NaN),
        which are never given.
        """
        ...


@runtime_checkable
class AnyMetrics(Protocol):
    """Optional: a network or denoiser whose windows may have any number of metrics where it says so.

    Metrics that are missing from a whole window are then as if they were not there.
    """

    @property
    def any_metrics(self) -> bool:
        """True where they may."""
        ...


@dataclass(frozen=True, eq=False)
class DenoiseRequest:
    """One network evaluation: the arguments of :meth:`WindowDenoiser.denoise_arrays`, arrays ``[B, L, K]``."""

    noisy: np.ndarray
    sigma: float
    windows: np.ndarray
    target: np.ndarray


Steps = Generator[DenoiseRequest, np.ndarray, _T]
"""A calculation that asks for network evaluations, is sent each answer ``[B, L, K]``, and returns its result."""


def answered(steps: Steps[_T], denoiser: WindowDenoiser) -> _T:
    """The result of ``steps``, each request answered by ``denoiser``."""
    try:
        request = next(steps)
        while True:
            answer = denoiser.denoise_arrays(request.noisy, request.sigma, request.windows, request.target)
            request = steps.send(answer)
    except StopIteration as done:
        result: _T = done.value
        return result
