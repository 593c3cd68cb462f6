from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tsdiff_monitor.scoring.attribution import NormalResiduals, attribute, attribute_event

CELLS = arrays(
    np.float64,
    st.tuples(st.integers(0, 6), st.integers(1, 5)),
    elements=st.floats(0, 1e12) | st.sampled_from([np.nan, np.inf]),
)


@given(CELLS)
def test_shares_sum_to_one(contribution: np.ndarray) -> None:
    """Each row's shares are >= 0 and sum to 1; without any evidence they are all 0."""
    shares = attribute(contribution)
    evidence = np.nansum(contribution, 1) > 0
    assert (shares >= 0).all()
    assert shares.sum(1)[evidence] == pytest.approx(1, abs=1e-5)
    assert (shares[~evidence] == 0).all()


@given(CELLS)
def test_shares_of_an_event_sum_to_one(contribution: np.ndarray) -> None:
    """An event's shares are >= 0 and sum to 1; without any evidence, or any row, they are all 0."""
    shares = attribute_event(contribution)
    assert shares.shape == (contribution.shape[1],)
    assert (shares >= 0).all()
    assert shares.sum() == pytest.approx(float((contribution > 0).any()), abs=1e-5)


@given(CELLS, st.integers(0, 99))
def test_permuting_metrics_permutes_shares(contribution: np.ndarray, seed: int) -> None:
    """No metric is favoured by its place, and an event's shares do not depend on the order of its rows."""
    rng = np.random.default_rng(seed)
    columns = rng.permutation(contribution.shape[1])
    rows = rng.permutation(len(contribution))
    assert attribute(contribution[:, columns]) == pytest.approx(attribute(contribution)[:, columns])
    assert attribute_event(contribution[rows][:, columns]) == pytest.approx(attribute_event(contribution)[columns])


@given(CELLS)
def test_an_event_of_one_row_has_the_shares_of_the_row(contribution: np.ndarray) -> None:
    """The attributions of a single row and of an event of that row agree."""
    for row, shares in zip(contribution, attribute(contribution), strict=True):
        assert attribute_event(row[None]) == pytest.approx(shares, abs=1e-6)


def test_missing_cells_have_no_share() -> None:
    """Only what was seen can be a culprit."""
    assert attribute(np.array([[np.nan, 3.0, 1.0]])) == pytest.approx(np.array([[0, 0.9, 0.1]]))
    assert attribute_event(np.array([[np.nan, 3.0], [1.0, np.nan]])) == pytest.approx(np.array([0.1, 0.9]))


def test_the_peak_outweighs_the_rows_around_it() -> None:
    """Three rows at ten times normal name their metric, though another one leads slightly in thirty quiet rows."""
    quiet, peak = np.tile([1.0, 1.5], (30, 1)), np.tile([10.0, 1.0], (3, 1))
    contribution = np.concatenate([quiet, peak])
    assert attribute(contribution).mean(0).argmax() == 1
    assert attribute_event(contribution).argmax() == 0


def test_a_metric_is_measured_by_its_own_normal_residual() -> None:
    """A metric that is hard to predict is not to blame for it; one predicted exactly does not dominate."""
    rng = np.random.default_rng(0)
    residual = rng.normal(size=(5000, 4)) * [3.0, 0.3, 1e-6, 1.0]
    residual[::7, 0] = np.nan
    residual[:, 3] = np.nan
    normal = NormalResiduals.fit(residual)
    assert normal.mean == pytest.approx((3 * 0.798, 0.3 * 0.798, 0.1, 1.0), rel=0.05)
    contribution = normal.contributions(residual)
    assert np.nanmean(contribution[:, :2], 0) == pytest.approx([1, 1])
    assert np.nanmax(contribution[:, 2]) < 1e-4
    assert np.isnan(contribution[:, 3]).all()


def test_constant_metrics_keep_the_unit_of_the_scaler() -> None:
    """A metric without a deviation in the history is measured in the scaler's own units."""
    assert NormalResiduals.fit(np.full((5, 2), 0.5), unscaled=np.array([True, False])).mean == (1.0, 0.5)


def test_constants_survive_a_round_trip_through_json() -> None:
    """They can be kept in a model's card."""
    normal = NormalResiduals.fit(np.random.default_rng(0).normal(size=(50, 3)))
    raw = json.loads(json.dumps(dataclasses.asdict(normal)))
    assert NormalResiduals(mean=tuple(raw["mean"])) == normal
