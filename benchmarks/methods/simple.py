"""Floors: a random score, the mean absolute z-score, and an bisector forest of rows."""

from __future__ import annotations

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting

__all__ = ["METHODS"]


def _random(train: np.ndarray, setting: Setting) -> Scorer:
    del train
    return lambda test: np.random.default_rng(setting.seed).random(len(test))


def _zscore(train: np.ndarray, setting: Setting) -> Scorer:
    del setting
    scaling = Scaling.fit(train)
    return lambda test: np.abs(scaling(test)).mean(1)


def _isolation_forest(train: np.ndarray, setting: Setting) -> Scorer:
    from sklearn.ensemble import IsolationForest

    scaling = Scaling.fit(train)
    forest = IsolationForest(n_estimators=100, random_state=setting.seed).fit(scaling(train).astype(np.float32))
    return lambda test: -forest.score_samples(scaling(test).astype(np.float32))


METHODS = {
    "random": Method("a uniform random number: the floor", _random, seeded=True),
    "zscore": Method("mean over metrics of |z|", _zscore),
    "isolation_forest": Method("100 trees of 256 rows (Liu et al., ICDM 2008)", _isolation_forest, seeded=True),
}
