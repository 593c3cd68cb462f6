"""Edits of frames between source and detector."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.errors import SchemaMismatchError
from tsdiff_monitor.testing import example_frame
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.selection import align_metrics, any_since, mask_spans, strip_empty_rows

STEP = pd.Timedelta("1min")


def with_gap(first: int, last: int) -> Frame:
    frame = example_frame(10)
    values = frame.values.copy()
    values[first:last] = np.nan
    return Frame(frame.start, frame.step, values, frame.series)


def test_trimming_takes_only_the_ends() -> None:
    """Empty rows at the ends go, at the head only when asked for; gaps in between stay."""
    assert len(strip_empty_rows(with_gap(3, 6))) == 10
    assert strip_empty_rows(with_gap(0, 3)).start == example_frame(10).start + 3 * STEP
    assert strip_empty_rows(with_gap(0, 3), head=False).start == example_frame(10).start
    assert len(strip_empty_rows(with_gap(7, 10))) == 7
    assert len(strip_empty_rows(with_gap(0, 10))) == len(strip_empty_rows(with_gap(0, 10), head=False)) == 0


def test_a_value_counts_from_its_time_on() -> None:
    """The bound is inclusive."""
    frame = with_gap(5, 10)
    assert any_since(frame, frame.start + 4 * STEP)
    assert not any_since(frame, frame.start + 5 * STEP)


def test_spans_are_hidden() -> None:
    """Rows of a span go missing, also of spans that reach beyond the frame or have no end yet; no other row."""
    frame = example_frame(10)
    at = frame.start
    spans = [(at - 5 * STEP, at + 2 * STEP), (at + 4 * STEP, at + 5 * STEP), (at + 8 * STEP, None)]
    spans += [(at - 9 * STEP, at - 5 * STEP), (at + 50 * STEP, at + 60 * STEP)]
    hidden = ~mask_spans(frame, spans).observed.any(1)
    assert np.flatnonzero(hidden).tolist() == [0, 1, 4, 8, 9]


def test_conforming_gives_the_models_metrics_in_its_order() -> None:
    """Present columns keep their values and labels, absent ones are missing, new ones left out; words say which."""
    frame = example_frame(4, names=("new", "b", "a"))
    found, faults = align_metrics(frame, ["a", "b", "gone"])
    assert found.names == ("a", "b", "gone")
    np.testing.assert_array_equal(found.values[:, :2], frame.values[:, [2, 1]])
    assert np.isnan(found.values[:, 2]).all()
    assert found.series[0] == frame.series[2]
    assert faults == [
        "metrics of the model that are missing now: gone",
        "metrics that are new, and left out until the next fit: new",
    ]
    assert align_metrics(frame, ["b", "a", "new"])[1] == []


def test_long_lists_of_names_are_cut() -> None:
    """An error about a thousand metrics stays readable."""
    with pytest.raises(SchemaMismatchError, match=r"missing: m0, m1, m2, m3, m4 and 995 more\); fit again"):
        align_metrics(example_frame(4), [f"m{k}" for k in range(1000)])
