"""Scores become series with valid, distinct labels, and samples that can be cut and joined."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_connectors.queue.series import SERIES, score_rows, unpacked
from tsdiff_monitor.testing import example_batch
from tsdiff_monitor.timeseries.frame import Frame, Series
from tsdiff_monitor.timeseries.scores import ScoreBatch

LABEL_NAME = r"[a-zA-Z_][a-zA-Z0-9_]*"


def series(batch: ScoreBatch, **labels: str) -> list[dict[str, str]]:
    """The labels of a batch's series."""
    return [dict(one) for one in unpacked(score_rows(batch, SERIES, labels).layout)]


def samples(*counts: int) -> Samples:
    """A series for each count; all values differ."""
    names: list[Labels] = [(("__name__", f"s{n}"),) for n in range(len(counts))]
    total = sum(counts)
    return Samples(tuple(names), np.cumsum(counts), np.arange(total), np.arange(total) * 1.0)


def points(given: Samples) -> dict[Labels, list[tuple[int, float]]]:
    """The content of samples, as plain values."""
    return {labels: list(zip(times.tolist(), values.tolist(), strict=True)) for labels, times, values in given}


def test_the_series_of_a_batch() -> None:
    """One score for the group, and five series for each metric, with the labels that users of vmanomaly know."""
    found = series(example_batch(names=("cpu", "memory")))
    common = {"instance": "web-1", "monitor": "hosts", "model_alias": "default", "scheduler_alias": "minutely"}
    assert found[0] == {"__name__": "anomaly_score", "for": "hosts", **common}
    rest = [(one["__name__"], one["for"]) for one in found[1:]]
    assert rest == [(name, metric) for name in ("y", *SERIES[1:2], *SERIES[3:]) for metric in ("cpu", "memory")]
    assert all(one.items() >= common.items() for one in found)


def test_only_the_series_that_are_wanted() -> None:
    """Neither the others nor, without `provide_series`, those of the band appear."""
    rows = score_rows(example_batch(), ("y", "anomaly_score"), {})
    assert {dict(one)["__name__"] for one in unpacked(rows.layout)} == {"anomaly_score", "y"}
    rows = score_rows(example_batch(expected=False), SERIES, {})
    assert {dict(one)["__name__"] for one in unpacked(rows.layout)} == {"anomaly_score", "attribution", "y"}
    assert rows.values.shape == (7, 10)


def test_values_stand_at_their_times() -> None:
    """Every series holds the batch's numbers at the rows' times; a band that lacks rows leaves gaps."""
    batch = example_batch(5)
    assert batch.expected is not None
    late = dataclasses.replace(
        batch.expected, times=batch.expected.times[2:4].as_unit("s"), yhat=batch.expected.yhat[2:4]
    )
    late = dataclasses.replace(late, yhat_lower=late.yhat - 1, yhat_upper=late.yhat + 1)
    rows = score_rows(dataclasses.replace(batch, expected=late), SERIES, {})
    found = {(dict(one)["__name__"], dict(one)["for"]): rows.values[s] for s, one in enumerate(unpacked(rows.layout))}
    assert rows.times_ms.tolist() == [time.value // 10**6 for time in batch.frame.times]
    np.testing.assert_array_equal(found["anomaly_score", "hosts"], batch.scores.score)
    np.testing.assert_array_equal(found["y", "memory"], batch.frame.values[:, 1].astype(float))
    np.testing.assert_array_equal(found["attribution", "cpu"][1:], batch.scores.attribution[1:, 0])
    assert np.isnan(found["attribution", "cpu"][0])
    assert np.isnan(found["yhat", "cpu"]).tolist() == [True, True, False, False, True]
    np.testing.assert_array_equal(found["yhat", "cpu"][2:4], late.yhat[:, 0].astype(float))


def test_labels_of_the_input_keep_clear_of_ours() -> None:
    """A label with one of our names goes out under another, invalid names become valid, and none swallows another."""
    group = (("a b", "1"), ("a-b", "2"), ("a_b", "3"), ("for", "4"), ("monitor", "5"), ("0", "6"), ("é", "7"))
    (score, *_) = series(example_batch(group=group))
    assert (score["for"], score["monitor"]) == ("hosts", "hosts")
    assert (score["exported_for"], score["exported_monitor"], score["a_b"]) == ("4", "5", "3")
    assert sorted(score.values()) == sorted([*"1234567", "anomaly_score", "hosts", "hosts", "default", "minutely"])


def test_labels_of_a_series_are_written() -> None:
    """A series' own labels are on all that is written for it, and ``for`` is its name, unique in the group."""
    batch = example_batch(1)
    labelled = (
        Series('cpu{mode="idle"}', {"mode": "idle", "__name__": "x"}),
        Series("cpu", {"env": "test", "none": ""}),
    )
    frame = Frame(batch.frame.start, batch.frame.step, batch.frame.values[:, :2], labelled)
    found = series(dataclasses.replace(batch, frame=frame), env="prod", team="sre")
    one, two = (one for one in found if one["__name__"] == "y")
    assert (one["for"], one["mode"], one["env"], one["team"]) == ('cpu{mode="idle"}', "idle", "prod", "sre")
    assert (two["for"], two["env"], "none" in two) == ("cpu", "test", False)


def test_sources_are_distinguished() -> None:
    """Rows of another monitor, model or group are not the same rows; those of another time are."""
    batch = example_batch()
    later = example_batch(start="2024-05-01T01:00:00Z", expected=False)
    others = [dataclasses.replace(batch, monitor="m"), dataclasses.replace(batch, model="m"), example_batch(group=())]
    source = score_rows(batch, SERIES, {}).source
    assert score_rows(later, SERIES, {}).source == source
    assert source not in {score_rows(other, SERIES, {}).source for other in others}


def test_rows_within_a_millisecond_and_no_rows() -> None:
    """Times are whole milliseconds, each once; a batch without rows has none."""
    rows = score_rows(example_batch(10, step="400us"), SERIES, {})
    start = pd.Timestamp("2024-05-01", tz="UTC").value // 10**6
    assert rows.times_ms.tolist() == [start, start + 1, start + 2, start + 3]
    assert len(score_rows(example_batch(0), SERIES, {})) == 0


def test_text_that_is_no_unicode_is_repaired() -> None:
    """A lone surrogate becomes a question mark: no store takes it."""
    (score, *_) = series(example_batch(group=(("path", "a\udc80b"),)))
    assert score["path"] == "a?b"


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=6))
def test_any_labels_become_valid_ones(labels: dict[str, str]) -> None:
    """For any names, the written ones are valid, sorted, and hold every value that is not empty."""
    (score, *_) = unpacked(score_rows(example_batch(1, group=tuple(sorted(labels.items()))), SERIES, {}).layout)
    names = [name for name, _ in score]
    assert names == sorted(set(names))
    assert all(pd.Series(names).str.fullmatch(LABEL_NAME))
    values = [value.encode("utf-8", "replace").decode() for name, value in labels.items() if name != "__name__"]
    assert sorted(filter(None, [*values, "anomaly_score", "hosts", "hosts", "default", "minutely"])) == sorted(
        value for _, value in score
    )


def test_gaps_are_left_out() -> None:
    """Neither NaN nor an infinity is a sample, and a series without samples is none."""
    names: list[Labels] = [(("__name__", name),) for name in "abc"]
    values = np.array([[1.0, np.nan, 3.0], [np.nan] * 3, [np.inf, 5.0, np.nan]])
    found = Samples.of(names, np.array([10, 20, 30]), values)
    assert points(found) == {names[0]: [(10, 1.0), (30, 3.0)], names[2]: [(20, 5.0)]}
    assert len(found) == 3


@given(st.lists(st.integers(1, 4), min_size=1, max_size=6).filter(lambda counts: sum(counts) > 1))
def test_halves_are_the_whole(counts: list[int]) -> None:
    """Halves hold all samples once, each smaller than the whole; those of a single series in order of time."""
    whole = samples(*counts)
    first, second = whole.halves()
    assert 0 < len(first) < len(whole)
    assert len(first) + len(second) == len(whole)
    if len(counts) == 1:
        (name,) = whole.labels
        assert points(first)[name] + points(second)[name] == points(whole)[name]
    else:
        assert points(first) | points(second) == points(whole)
        assert points(Samples.join([first, second])) == points(whole)


@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 20), st.integers(1, 30))
def test_pieces_are_the_whole(counts: list[int], size: int, span: int) -> None:
    """Pieces hold all samples once, go by time where a span is not too large, and keep to the size if they can."""
    whole = samples(*counts)
    pieces = whole.pieces(size, span)
    assert all(len(piece) <= size or len(piece.labels) == 1 for piece in pieces)
    for one, after in itertools.pairwise(pieces):
        assert one.times_ms.max() // span <= after.times_ms.min() // span
        assert len(one) + len(after) > size or len(one.labels) < len(whole.labels)
    rows = [(labels, row) for piece in pieces for labels, rows in points(piece).items() for row in rows]
    assert sorted(rows) == sorted((labels, row) for labels, rows in points(whole).items() for row in rows)


def test_some_series_can_be_picked() -> None:
    """The wanted series and the others, each with its own samples."""
    whole = samples(2, 1, 3)
    wanted, others = whole.only({whole.labels[1]})
    assert (points(wanted), points(others)) == (points(samples_of(whole, 1)), points(samples_of(whole, 0, 2)))
    assert len(Samples.join([])) == 0


def samples_of(whole: Samples, *numbers: int) -> Samples:
    """Some series of samples, put together in another way."""
    parts = [part for number, part in enumerate(whole) if number in numbers]
    ends = np.cumsum([len(times) for _, times, _ in parts])
    return Samples(
        tuple(labels for labels, _, _ in parts),
        ends,
        np.concatenate([times for _, times, _ in parts]),
        np.concatenate([values for _, _, values in parts]),
    )
