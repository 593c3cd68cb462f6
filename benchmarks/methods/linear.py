"""PCA reconstruction error of rows: plain, and with each metric's error divided by its error in training."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting

__all__ = ["METHODS", "components"]

_EXPLAINED = 0.9
_LEAST_ERROR = 1e-4


def components(z: np.ndarray, most: int) -> np.ndarray:
    """The leading principal directions ``[K, most or fewer]`` of centred rows ``z [N, K]``."""
    _, vectors = np.linalg.eigh(_covariance(z))
    return vectors[:, ::-1][:, :most]


def _covariance(z: np.ndarray) -> np.ndarray:
    return np.asarray(z.T @ z) / max(len(z), 1)


def _basis(z: np.ndarray) -> np.ndarray:
    """The fewest directions that explain 90 % of the variance, but one less than there are metrics, so errors exist."""
    variance, vectors = np.linalg.eigh(_covariance(z))
    explained = np.cumsum(variance[::-1]) / max(float(variance.sum()), 1e-12)
    kept = min(int(np.searchsorted(explained, _EXPLAINED)) + 1, z.shape[1] - 1)
    return np.asarray(vectors[:, ::-1][:, :kept])


def _pca(train: np.ndarray, setting: Setting) -> Scorer:
    del setting
    scaling = Scaling.fit(train)
    basis = _basis(scaling(train))

    def score(test: np.ndarray) -> np.ndarray:
        z = scaling(test)
        return np.asarray(((z - z @ basis @ basis.T) ** 2).mean(1))

    return score


def _pca_normalised(train: np.ndarray, setting: Setting) -> Scorer:
    del setting
    scaling = Scaling.fit(train)
    z = scaling(train)
    basis = _basis(z)
    usual = ((z - z @ basis @ basis.T) ** 2).mean(0) + _LEAST_ERROR

    def score(test: np.ndarray) -> np.ndarray:
        z = scaling(test)
        return np.asarray(((z - z @ basis @ basis.T) ** 2 / usual).mean(1))

    return score


METHODS = {
    "pca": Method("squared error of PCA with 90 % of the variance", _pca),
    "pca_normalised": Method("the same, each metric's error divided by its mean in training", _pca_normalised),
}
