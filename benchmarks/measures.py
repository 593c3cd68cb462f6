"""The quality of a score, by labels: measures that need no threshold, and events at an alarm rate.

T rows; ``labels[T]`` is 1 (anomalous), 0 (normal) or -1 (not known: the row is left out of every measure); ``score[T]``
is higher where rows are more anomalous, NaN where there is no verdict. Nothing is adjusted after the fact by whole
segments ("point adjustment"): a random score would then look good (Kim et al., AAAI 2022).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.vus import metric_window, vus_pr

__all__ = ["auc_pr", "best_f1", "event_threshold", "measure", "segments_of"]

_WEEK = 7 * 86_400.0
_NEAR = 10
"""Rows above the threshold at most this many rows apart are one event; the same distance around a labelled segment is
neither false nor a detection, since labels are drawn by hand."""


def measure(labels: np.ndarray, score: np.ndarray, first_metric: np.ndarray, step_seconds: float) -> dict[str, Any]:
    """Every measure of one scored series, as a record holds them; None where no row is labelled anomalous.

    ``first_metric[T]`` sets the buffer of VUS-PR (TSB-AD's rule), ``step_seconds`` the length of a week.
    """
    known = labels >= 0
    labels = labels[known] == 1
    score = np.asarray(score, dtype=float)[known]
    lowest = score[np.isfinite(score)].min(initial=0.0)
    score = np.nan_to_num(score, nan=lowest, neginf=lowest)
    found: dict[str, Any] = dict.fromkeys(("vus_pr", "auc_pr", "best_f1"))
    segments = segments_of(labels)
    if segments:
        filled = np.where(np.isnan(first_metric), np.nanmean(np.append(first_metric, 0.0)), first_metric)
        found["vus_pr"] = round(vus_pr(labels, score, metric_window(filled)), 5)
        found["auc_pr"] = round(auc_pr(labels, score), 5)
        found["best_f1"] = round(best_f1(labels, score), 5)
    threshold = event_threshold(labels, score, allowed=int((~labels).sum() * step_seconds / _WEEK))
    delays = [int(np.argmax(over)) for a, b in segments if (over := score[a:b] > threshold).any()]
    return found | {
        "segments": len(segments),
        "segments_found_at_1_per_week": len(delays),
        "delay_rows": float(np.median(delays)) if delays else None,
    }


def segments_of(labels: np.ndarray) -> list[tuple[int, int]]:
    """Runs of positive labels as ``(first row, row after the last)``."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], np.asarray(labels).astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def auc_pr(labels: np.ndarray, score: np.ndarray) -> float:
    """Average precision: precision summed over the steps of recall, rows of equal score taken together."""
    precision, recall = _curve(labels, score)
    return float(np.dot(np.diff(recall, prepend=0.0), precision))


def best_f1(labels: np.ndarray, score: np.ndarray) -> float:
    """The point-wise F1 of the best threshold, which only someone who knows the labels could choose."""
    precision, recall = _curve(labels, score)
    return float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12)))


def _curve(labels: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall at every distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(np.asarray(labels)[order] == 1)
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # the last row of each distinct score
    return hits[last] / (last + 1.0), hits[last] / hits[-1]


def event_threshold(labels: np.ndarray, score: np.ndarray, *, allowed: int) -> float:
    """The lowest threshold at which, and above which, normal rows make at most ``allowed`` events.

    A normal row starts an event when its score exceeds the threshold and none of the rows shortly before does. So row i
    starts one at every threshold from the highest score shortly before it up to its own: counting the events at all
    thresholds takes two sorted lists. Rows on or near a labelled segment start none, and join what follows them.
    """
    score = np.asarray(score, dtype=float)
    near = np.convolve(np.asarray(labels, dtype=float), np.ones(2 * _NEAR + 1), mode="same") > 0.5
    level = np.where(near, np.inf, score)
    before = np.full(_NEAR, -np.inf)
    shortly_before = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, level]), _NEAR).max(1)[:-1]
    starts = ~near & (score > shortly_before)
    begins = np.sort(score[starts])  # going down, one more event from here
    ends = np.sort(shortly_before[starts])  # going down, one fewer from here: it joins what came before
    events_below = (len(begins) - np.arange(len(begins))) - (len(ends) - np.searchsorted(ends, begins, side="left"))
    too_many = begins[events_below > allowed]
    return float(too_many[-1]) if too_many.size else -np.inf
