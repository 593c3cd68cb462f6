"""The drift that the daemon has followed before an incident in a drifted history."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.rehearsal.baseline_rows import HistorySlice
from tsdiff_monitor.rehearsal.following import Following
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import Expected, Scores

START = pd.Timestamp("2026-01-05", tz="UTC")
STEP = pd.Timedelta("1min")


class Model:
    """Scores a row by its value; an ordinary one has 0.25."""

    names = ("cpu",)
    window = 10
    step_seconds = 60.0

    def __init__(self, normal: float | None = 0.25) -> None:
        self.normal = normal

    def score(self, frame: Frame, *, first: int = 0, **_: object) -> Scores:
        values = frame.values[first:, 0].astype(float)
        return Scores(frame.times[first:], frame.series, values, np.ones((len(values), 1)), self.normal)

    def expected(
        self, frame: Frame, names: object, *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        del names, read
        rows = frame.rows(first, len(frame) if last is None else last)
        return Expected(rows.times, rows.series, rows.values, rows.values, rows.values)

    def save(self, directory: Path) -> None:
        directory.touch()


def history(values: np.ndarray, first: int) -> HistorySlice:
    frame = Frame(START, STEP, values.astype(np.float32)[:, None], (Series("cpu"),))
    return HistorySlice((), frame, first, (START, START))


def test_a_risen_level_is_known_from_the_first_row_on() -> None:
    """Rows before the history count too: what rose there does not raise an alarm at its first row."""
    risen = history(np.concatenate([np.full(600, 0.25), np.full(1400, 1.5)]), 1400)
    model = Following.over(Model(), risen)
    part = risen.frame.rows(1400, 1440)
    scores = model.score(part)
    assert scores.score == pytest.approx(1.5 / np.sqrt(6), rel=0.01)
    assert scores.normal is None  # followed once, not twice


def test_a_level_that_stays_counts_as_it_is() -> None:
    """Without a rise scores are the model's own, and so they are where it says nothing of ordinary rows."""
    still = history(np.full(2000, 0.25), 1000)
    risen = history(np.concatenate([np.full(600, 0.25), np.full(1400, 1.5)]), 1400)
    assert (Following.over(Model(), still).score(still.frame).score == 0.25).all()
    assert (Following.over(Model(None), risen).score(risen.frame).score[1000:] == 1.5).all()


def test_an_incident_in_the_history_changes_no_other_row() -> None:
    """The factors are those of the history as it is: rows changed afterwards are judged by them."""
    still = history(np.full(2000, 0.25), 1000)
    model = Following.over(Model(), still)
    changed = still.frame.values.copy()
    changed[1200:1700] = 4.0
    assert (model.score(Frame(START, STEP, changed, still.frame.series)).score[1200:1700] == 4.0).all()


def test_a_plain_one_names_nothing() -> None:
    """Expected values are the model's, or missing where they would only take time."""
    still = history(np.full(100, 0.25), 50)
    model = Following.over(Model(), still)
    plain = Following(model.inner, model.start, model.step, model.factors, plain=True)
    assert (model.expected(still.frame, ["cpu"], first=90).yhat == 0.25).all()
    shown = plain.expected(still.frame, ["cpu"], first=90)
    assert shown.yhat.shape == (10, 1)
    assert np.isnan(shown.yhat).all()
