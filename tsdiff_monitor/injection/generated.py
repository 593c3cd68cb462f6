"""Generated incidents: conditional samples of a diffusion model, pushed away from the manifold of normal data.

arXiv 2506.09368 (section on generation) closes the loop between detection and generation: what a generator draws
trains and tests the detector. Two ways, both plausible by themselves and wrong in their place: a sample conditioned on
another time's context, and guidance with the sign reversed, x + w (x - D(x)): away from what the context lets expect.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from tsdiff_monitor.injection.kinds import AnomalyType, Perturbation
from tsdiff_monitor.injection.placement import Placement

__all__ = ["ConditionalSampler", "generated_kinds"]

_LEAST = 1e-9


class ConditionalSampler(Protocol):
    """A conditional generative model of windows."""

    def __call__(self, windows: np.ndarray, hidden: np.ndarray, generator: np.random.Generator, /) -> np.ndarray:
        """Draw the ``hidden[L, K]`` cells of ``windows[B, L, K]`` (own units, NaN = missing) given all the others.

        Returns windows ``[B, L, K]``, one draw each; NaN where the model has no value.
        """
        ...


def generated_kinds(sample: ConditionalSampler, window: int) -> Mapping[str, AnomalyType]:
    """The generated kinds by name, for windows of ``window`` rows.

    An incident is generated half a window at a time, in the middle of its window: with its metrics hidden there, and
    given before, after, and all the others throughout.
    """

    def elsewhere(placement: Placement, generator: np.random.Generator) -> np.ndarray:
        """The metrics as they could be at another time, given the other metrics there."""
        T, D = len(placement.values), placement.rows
        shift = int(generator.integers(min(D, T // 2), T - min(D, T // 2) + 1))
        return _sampled(sample, placement, window, generator, shift=shift)

    def pushed(placement: Placement, generator: np.random.Generator) -> np.ndarray:
        """Away from a draw of what the context lets expect, as far as the magnitude says (root mean square)."""
        away = placement.now - _sampled(sample, placement, window, generator)
        known = ~np.isnan(away)
        size = np.sqrt(np.where(known, away**2, 0.0).sum(0) / np.maximum(known.sum(0), 1))
        return np.asarray(placement.now + away * (placement.magnitude * placement.spread / np.maximum(size, _LEAST)))

    changes: dict[str, Perturbation] = {"generated_elsewhere": elsewhere, "generated_pushed": pushed}
    return {name: AnomalyType(change, shortest=2) for name, change in changes.items()}


def _sampled(
    sample: ConditionalSampler, placement: Placement, window: int, generator: np.random.Generator, *, shift: int = 0
) -> np.ndarray:
    """Draws ``[D, M]`` of the placement's cells in the context of ``shift`` rows later.

    The end continues at the start.
    """
    T, K = placement.values.shape
    length = max(window // 2, 1)
    margin = (window - length) // 2
    starts = np.arange(placement.start, placement.end, length)
    rows = starts[:, None] - margin + np.arange(window)  # [B, L]
    inside = (rows >= 0) & (rows < T)
    windows = placement.values[(rows + shift) % T]
    windows = np.where(inside[:, :, None], windows, np.nan)
    hidden = np.zeros((window, K), dtype=bool)
    hidden[margin : margin + length, placement.metrics] = True
    drawn = sample(windows, hidden, generator)[:, margin : margin + length]
    return np.asarray(drawn.reshape(-1, K)[: placement.rows][:, placement.metrics])
