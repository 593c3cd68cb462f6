"""Measures have the values that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.measures import auc_pr, best_f1, event_threshold, measure, segments_of

WEEK = 7 * 86_400


def spikes(rows: int, at: dict[int, float]) -> np.ndarray:
    score = np.zeros(rows)
    for row, height in at.items():
        score[row] = height
    return score


def test_average_precision_and_best_f1_by_hand() -> None:
    """Scores 4 3 2 1 with labels 1 0 1 0: precision 1 at recall 1/2, 2/3 at recall 1; best F1 is 4/5."""
    labels, score = np.array([1, 0, 1, 0]), np.array([4.0, 3.0, 2.0, 1.0])
    assert auc_pr(labels, score) == pytest.approx((1 + 2 / 3) / 2)
    assert best_f1(labels, score) == pytest.approx(0.8)


def test_rows_of_equal_score_are_taken_together() -> None:
    """A constant score has the precision of the base rate, in any order of the rows."""
    for labels in ([1, 0, 0, 0], [0, 0, 0, 1]):
        assert auc_pr(np.array(labels), np.ones(4)) == pytest.approx(0.25)
        assert best_f1(np.array(labels), np.ones(4)) == pytest.approx(0.4)


def test_average_precision_is_that_of_scikit_learn() -> None:
    """An independent implementation gives the same, with ties."""
    from sklearn.metrics import average_precision_score

    rng = np.random.default_rng(0)
    labels, score = rng.random(500) < 0.1, np.round(rng.normal(size=500), 1)
    assert auc_pr(labels, score) == pytest.approx(average_precision_score(labels, score))


def test_segments_are_runs_of_positive_labels() -> None:
    """First row and the row after the last; runs at the edges count."""
    assert segments_of(np.array([1, 1, 0, 1, 0, 0, 1])) == [(0, 2), (3, 4), (6, 7)]
    assert segments_of(np.zeros(5)) == []


def test_threshold_allows_as_many_false_events_as_asked() -> None:
    """With normal spikes of 5, 4 and 3, none, one, two or all three are events."""
    score, labels = spikes(400, {50: 5.0, 150: 4.0, 250: 3.0}), np.zeros(400)
    assert [event_threshold(labels, score, allowed=n) for n in (0, 1, 2)] == [5.0, 4.0, 3.0]
    assert event_threshold(labels, score, allowed=4) == -np.inf


def test_rows_shortly_after_each_other_are_one_event() -> None:
    """Two spikes within ten rows are one event, farther apart two."""
    labels = np.zeros(400)
    assert event_threshold(labels, spikes(400, {50: 5.0, 60: 4.0}) - 1e-3 * np.arange(400), allowed=1) < 4.0
    assert event_threshold(labels, spikes(400, {50: 5.0, 70: 4.0}), allowed=1) == 4.0


def test_no_lower_threshold_would_keep_the_promise() -> None:
    """Counting events row by row agrees: allowed above the threshold everywhere, one too many just below it."""
    rng = np.random.default_rng(1)
    score, labels = rng.normal(size=300), np.zeros(300)
    labels[100:120] = 1

    def events(threshold: float) -> int:
        near = np.zeros(300, dtype=bool)
        near[90:130] = True
        last, count = -100, 0
        for row in range(300):
            if near[row]:
                last = row
            elif score[row] > threshold:
                count += row - last > 10
                last = row
        return count

    found = event_threshold(labels, score, allowed=3)
    assert all(events(level) <= 3 for level in score[score >= found])
    assert events(np.nextafter(found, -np.inf)) == 4


def test_segments_found_and_delay_at_one_event_a_week() -> None:
    """In a week of hourly rows with a normal spike of 3, segments that rise above it are found, after their delay."""
    labels = np.zeros(400)
    labels[100:110] = labels[200:210] = labels[300:310] = 1
    score = spikes(400, {20: 3.0, 104: 9.0, 202: 4.0, 305: 2.0})
    found = measure(labels, score, np.zeros(400), 3600.0)  # 2.2 weeks of normal rows allow two events
    assert found["segments"] == 3
    assert found["segments_found_at_1_per_week"] == 3
    few = measure(labels, score, np.zeros(400), 60.0)  # 6 hours allow none: the threshold is 3
    assert few["segments_found_at_1_per_week"] == 2
    assert few["delay_rows"] == 3.0  # the median of 4 and 2


def test_unlabelled_rows_are_left_out() -> None:
    """A high score on rows labelled -1 changes nothing."""
    labels = np.zeros(300)
    labels[100:120] = 1
    score = labels + np.random.default_rng(0).random(300) / 2
    known = measure(labels, score, score, 60.0)
    padded = measure(np.append(labels, [-1] * 50), np.append(score, [99.0] * 50), np.append(score, [0.0] * 50), 60.0)
    assert padded["auc_pr"] == known["auc_pr"] == 1.0
    assert padded["best_f1"] == known["best_f1"]


def test_rows_without_a_verdict_count_as_the_most_normal() -> None:
    """NaN scores are no error and no alarm."""
    labels = np.zeros(300)
    labels[100:120] = 1
    score = labels.copy()
    score[:50] = np.nan
    assert measure(labels, score, np.zeros(300), 60.0)["auc_pr"] == 1.0
    assert measure(labels, np.full(300, np.nan), np.zeros(300), 60.0)["best_f1"] == pytest.approx(0.125)


def test_a_series_without_anomalies_has_no_precision() -> None:
    """The measures are None, the number of segments 0."""
    found = measure(np.zeros(200), np.arange(200.0), np.zeros(200), 60.0)
    assert found["vus_pr"] is found["auc_pr"] is found["best_f1"] is found["delay_rows"] is None
    assert found["segments"] == found["segments_found_at_1_per_week"] == 0
