"""Distance to what training looked like: nearest rows, nearest windows, nearest cluster of windows.

All three compare with at most 30,000 training rows or windows, evenly spaced (no machine of SMD has more; long
univariate series do).
"""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting, evenly, mean_over_windows, windows_of
from benchmarks.methods.linear import components

__all__ = ["METHODS"]

_NEIGHBOURS = 5
_COMPONENTS = 40
_CLUSTERS = 20
_MOST = 30_000


def _knn_points(train: np.ndarray, setting: Setting) -> Scorer:
    del setting
    scaling = Scaling.fit(train)
    distance = _distance_to(scaling(train))
    return lambda test: distance(scaling(test))


def _knn_windows(train: np.ndarray, setting: Setting) -> Scorer:
    del setting
    scaling = Scaling.fit(train)
    windows = windows_of(scaling(train))
    mean = windows.mean(0)
    basis = components(evenly(windows, _MOST) - mean, _COMPONENTS)
    distance = _distance_to((windows - mean) @ basis)
    return lambda test: mean_over_windows(distance((windows_of(scaling(test)) - mean) @ basis), len(test))


def _distance_to(known: np.ndarray) -> Scorer:
    """Mean distance to the nearest 5 of ``known``, in any number of dimensions."""
    from sklearn.neighbors import NearestNeighbors

    known = evenly(known, _MOST).astype(np.float32)
    index = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(known))).fit(known)
    return lambda points: index.kneighbors(points.astype(np.float32))[0].mean(1)


def _kmeans_windows(train: np.ndarray, setting: Setting) -> Scorer:
    from sklearn.cluster import MiniBatchKMeans

    scaling = Scaling.fit(train)
    windows = evenly(windows_of(scaling(train)), _MOST)
    clusters = MiniBatchKMeans(
        min(_CLUSTERS, len(windows)),
        n_init=3,  # pyright: ignore[reportArgumentType] - scikit-learn's default is a word, a number is as good
        random_state=setting.seed,
    ).fit(windows)
    return lambda test: mean_over_windows(clusters.transform(windows_of(scaling(test))).min(1), len(test))


METHODS = {
    "knn_points": Method("mean distance to the 5 nearest training rows", _knn_points),
    "knn_windows": Method("the same for windows of 10 rows in 40 PCA components", _knn_windows),
    "kmeans_windows": Method("distance of windows of 10 rows to the nearest of 20 clusters", _kmeans_windows, True),
}
