"""The density scores of the diffusion surveys, each alone, for comparison with what the detector fuses.

They are measured and not part of the default score: docs/model.md says what they gained and cost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting, evenly, mean_over_windows, windows_of
from benchmarks.methods.product import as_frame

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

__all__ = ["METHODS", "diffusion_time", "evidence_bound", "flow_likelihood"]

_COMPONENTS = 40
_MOST = 30_000


def evidence_bound(train: np.ndarray, setting: Setting, **options: Any) -> Scorer:
    """The bound's terms over six noise levels per cell, the root of their sum by its mean on training rows."""
    from benchmarks.methods import density_scores
    from tsdiff_monitor.scoring.plan import batch_plan

    detector = _fitted(train, setting, options)
    window, seed = detector.config.window, setting.seed
    plan = batch_plan(window, train.shape[1], sigma=2.0)

    def roots(values: np.ndarray) -> np.ndarray:
        scaled = detector.scaler.transform(values)
        terms = density_scores.denoising_terms(detector.imputer, scaled, plan, window=window, first=0, seed=seed)
        return np.asarray(np.sqrt(density_scores.evidence_bound(terms)))

    normal = np.nan_to_num(np.nanmean(roots(train[-_MOST:]), axis=0), nan=1.0)
    normal = np.where(detector.scaler.constant, 1.0, np.maximum(normal, 0.1))
    return lambda test: _mean_of_known(roots(test) / normal)


def flow_likelihood(train: np.ndarray, setting: Setting, **options: Any) -> Scorer:
    """-ln p of the newest quarter of a window given the rest, by the probability flow, every 16 rows."""
    from benchmarks.methods.density_scores import flow_log_likelihoods
    from tsdiff_monitor.diffusion.imputer import Imputer
    from tsdiff_monitor.diffusion.masks import forecast_mask

    detector = _fitted(train, setting, options)
    imputer, window = detector.imputer, detector.config.window
    assert isinstance(imputer, Imputer)  # the flow takes derivatives: torch alone has them
    rows = window // 4
    mask = forecast_mask(window, train.shape[1], rows)

    def score(test: np.ndarray) -> np.ndarray:
        scaled = detector.scaler.transform(test)
        ends = np.unique(np.minimum(np.arange(rows - 1, len(test) + rows - 1, rows), len(test) - 1))
        likelihood = flow_log_likelihoods(imputer, scaled, mask, ends, seed=setting.seed, steps=3)
        return -likelihood[np.minimum(np.arange(len(test)) // rows, len(ends) - 1)]

    return score


def diffusion_time(train: np.ndarray, setting: Setting) -> Scorer:
    """DTE, learned: the noise level a classifier sees in a window's principal components."""
    import torch

    from benchmarks.methods.diffusion_time import DiffusionTime

    scaling = Scaling.fit(train)
    windows = evenly(windows_of(scaling(train)), _MOST)
    mean = windows.mean(0)
    _, vectors = np.linalg.eigh(np.cov(windows - mean, rowvar=False))
    basis = vectors[:, ::-1][:, :_COMPONENTS]
    deviation = max(float(((windows - mean) @ basis).std()), 1e-6)  # one for all: a large component stays large

    def embed(x: np.ndarray) -> np.ndarray:
        return np.asarray((x - mean) @ basis / deviation)

    model = DiffusionTime.fit(embed(windows), generator=torch.Generator().manual_seed(setting.seed))
    return lambda test: mean_over_windows(model.score(embed(windows_of(scaling(test)))), len(test))


def _fitted(train: np.ndarray, setting: Setting, options: Mapping[str, Any]) -> DiffusionDetector:
    from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
    from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector

    frame = as_frame(train, setting.step_seconds)
    return DiffusionDetector.fit(frame, DiffusionModelConfig(seed=setting.seed, **options))


def _mean_of_known(cells: np.ndarray) -> np.ndarray:
    known = ~np.isnan(cells)
    return np.asarray(np.where(known, cells, 0.0).sum(1) / np.maximum(known.sum(1), 1))


def _method(summary: str, fit: Callable[[np.ndarray, Setting], Scorer]) -> Method:
    return Method(summary, fit, seeded=True)


METHODS = {
    "evidence_bound": _method("conditional ELBO terms over six noise levels", evidence_bound),
    "flow_likelihood": _method("conditional likelihood by the probability flow", flow_likelihood),
    "diffusion_time": _method("DTE (Livernoche et al., ICLR 2024), learned", diffusion_time),
}
