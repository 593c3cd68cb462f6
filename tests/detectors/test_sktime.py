"""The detector as an sktime estimator; skipped where sktime is not installed (``pip install '.[sktime]'``)."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("sktime", reason="sktime is not installed: pip install 'tsdiff-monitor[sktime]'")

with warnings.catch_warnings():  # what sktime's own imports warn of is not ours to fix
    warnings.simplefilter("ignore")
    from sktime.detection.base import BaseDetector
    from sktime.utils.estimator_checks import check_estimator

    from tsdiff_monitor.detectors.sktime import SktimeDetector

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.registry import fit_detector
from tsdiff_monitor.testing import example_frame

TINY = {"window": 8, "width": 16, "layers": 1, "fit_steps": 20}


@pytest.fixture(scope="module")
def history() -> pd.DataFrame:
    return example_frame(200).to_pandas()


@pytest.fixture(scope="module")
def fitted(history: pd.DataFrame) -> SktimeDetector:
    return SktimeDetector(TINY).fit(history)


@pytest.mark.filterwarnings("ignore")
def test_it_passes_sktimes_estimator_checks() -> None:
    """All of them, without an exclusion."""
    outcomes = check_estimator(SktimeDetector, raise_exceptions=False, verbose=False)
    assert len(outcomes) > 50
    assert {check: outcome for check, outcome in outcomes.items() if outcome != "PASSED"} == {}


def test_it_is_an_anomaly_detector_of_many_metrics_with_gaps(fitted: SktimeDetector) -> None:
    """The tags that sktime's search goes by say what it can do."""
    assert isinstance(fitted, BaseDetector)
    assert (fitted.get_tag("task"), fitted.get_tag("learning_type")) == ("anomaly_detection", "unsupervised")
    assert fitted.get_tag("capability:multivariate")
    assert fitted.get_tag("capability:missing_values")


def test_its_scores_are_those_of_the_detector_behind_it(fitted: SktimeDetector, history: pd.DataFrame) -> None:
    """The same seed on the same rows: sktime's door adds nothing to the score."""
    frame = example_frame(200)
    plain = fit_detector(frame, DiffusionModelConfig.model_validate(TINY)).score(frame, mode="batch")
    scores = fitted.transform_scores(history)
    assert scores.index.equals(history.index)
    np.testing.assert_allclose(scores["scores"], plain.score, rtol=1e-6)


def test_a_burst_is_found_and_a_gap_is_none(fitted: SktimeDetector, history: pd.DataFrame) -> None:
    """``predict`` names rows of the burst; rows without any value score 0."""
    spoilt = history.copy()
    spoilt.iloc[100:104] *= 50
    spoilt.iloc[150:155] = np.nan
    found = fitted.predict(spoilt)["ilocs"].to_numpy()
    assert {100, 101, 102, 103} <= set(found.tolist())
    assert not {150, 151, 152, 153, 154} & set(found.tolist())
    assert (fitted.transform_scores(spoilt)["scores"].iloc[150:155] == 0).all()
    assert len(fitted.predict_scores(spoilt)) == len(found)


def test_any_kind_of_model_can_stand_behind_it(history: pd.DataFrame) -> None:
    """``type`` chooses it as in the configuration; an unknown one is named with those there are."""
    assert SktimeDetector({"type": "baseline"}).fit(history).predict(history) is not None
    with pytest.raises(ValueError, match=r"no kind of model 'none'; types: diffusion, baseline"):
        SktimeDetector({"type": "none"}).fit(history)


def test_periods_and_plain_numbers_index_rows_too() -> None:
    """A monthly or numeric index is evenly spaced by its row numbers."""
    values = example_frame(60).values
    for index in (pd.period_range("2020-01", periods=60, freq="M"), pd.RangeIndex(60)):
        X = pd.DataFrame(values, index=index)
        scores = SktimeDetector(TINY).fit(X).transform_scores(X)
        assert scores.index.equals(index)
        assert np.isfinite(scores["scores"]).all()


def test_the_old_name_warns() -> None:
    """`DiffusionDetector` of this module is the same class, with a warning that names the new one."""
    from tsdiff_monitor.detectors import sktime

    with pytest.warns(DeprecationWarning, match="is now SktimeDetector"):
        assert sktime.DiffusionDetector is SktimeDetector
    with pytest.raises(AttributeError, match="no attribute 'Unknown'"):
        _ = sktime.Unknown
