"""Evidence: a plan's views of each row, fitted on held-out normal rows, and the score they are fused to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tsdiff_monitor.diffusion.denoiser import Steps, WindowDenoiser
from tsdiff_monitor.scoring.attribution import NormalResiduals
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.codebook import ROWS, Codebook
from tsdiff_monitor.scoring.fusion import fuse, reach
from tsdiff_monitor.scoring.plan import ScoringPlan
from tsdiff_monitor.scoring.reconstruction import residual_steps, residuals, row_score

__all__ = ["Evidence", "ScoreName", "fit_evidence"]

ScoreName = Literal["hybrid", "reconstruction", "density"]
"""``reconstruction``: residuals of imputation; ``density``: distance from the history; ``hybrid``: both."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """Scores scaled rows ``[T, K]`` by one plan. ``active[K]`` are the metrics that had values in the history."""

    plan: ScoringPlan
    codebook: Codebook
    normal: NormalResiduals
    active: np.ndarray
    score: ScoreName
    window: int
    seed: int

    @property
    def reach(self) -> int:
        """Number of rows before a row that its score takes in, beside the row's own window."""
        return reach(self.plan.scales, centred=self.plan.centred)

    @property
    def context(self) -> int:
        """Number of rows before a row that its distance takes in."""
        return ROWS - 1

    def contributions(self, scaled: np.ndarray, *, first: int) -> Steps[np.ndarray]:
        """Absolute residuals of rows ``first <= t < T`` in units of normal ones, ``[T - first, K]``; NaN = missing."""
        squared, _ = yield from residual_steps(scaled, self.plan, window=self.window, first=first, seed=self.seed)
        return self.normal.contributions(np.sqrt(squared))

    def distances(self, scaled: np.ndarray, *, first: int) -> np.ndarray:
        """Distances of rows ``first <= t < T`` from the history, ``[T - first]``; all 1 where they do not count."""
        if self.score == "reconstruction":
            return np.ones(len(scaled) - first)
        return self.codebook.distances(scaled, first=first, centred=self.plan.centred)

    def raw(self, contribution: np.ndarray, distance: np.ndarray) -> np.ndarray:
        """The uncalibrated score of consecutive rows ``[T]`` from their contributions and distances."""
        view = row_score(contribution, self.active)
        views = {"hybrid": [view, distance], "reconstruction": [view], "density": [distance]}[self.score]
        fused = fuse(views, scales=self.plan.scales, centred=self.plan.centred)
        return np.where(np.isnan(view), np.nan, fused)


def fit_evidence(
    denoiser: WindowDenoiser,
    plan: ScoringPlan,
    codebook: Codebook,
    scaled: np.ndarray,
    held_out: tuple[tuple[int, int], ...],
    *,
    unscaled: np.ndarray,
    active: np.ndarray,
    score: ScoreName,
    window: int,
    seed: int,
    confirm_rows: int,
    follow_seconds: float | None,
) -> tuple[Evidence, Calibration]:
    """Learn from the held-out blocks (first row, end) what residuals and scores of normal rows are."""
    spans = [(scaled[max(a - window, 0) : b], min(a, window)) for a, b in held_out]
    squared = [residuals(denoiser, rows, plan, window=window, first=first, seed=seed)[0] for rows, first in spans]
    normal = NormalResiduals.fit(np.sqrt(np.concatenate(squared)), unscaled=unscaled)
    evidence = Evidence(plan, codebook, normal, active, score, window, seed)
    far = codebook.normal_distances(scaled, held_out, centred=plan.centred, seed=seed)
    stretches = [
        evidence.raw(normal.contributions(np.sqrt(part)), distance) for part, distance in zip(squared, far, strict=True)
    ]
    return evidence, Calibration.fit(stretches, confirm_rows=confirm_rows, follow_seconds=follow_seconds)
