from __future__ import annotations

import numpy as np

from tsdiff_monitor.detectors.csdi.voting import step_ratios, votes, voting_steps


def test_the_last_steps_vote() -> None:
    """Every third of the last thirty, counted from the end; fewer where there are fewer."""
    assert voting_steps(50, count=10, every=3) == (0, 3, 6, 9, 12, 15, 18, 21, 24, 27)
    assert voting_steps(5, count=10, every=3) == (0, 3)


def test_a_hand_made_vote() -> None:
    """Each step judges by the last one's threshold times the ratio of their errors; a missing row gets no vote."""
    normal = np.array([[1.0, 1.0, 2.0], [2.0, 2.0, np.nan], [0.5, 0.5, 1.0]])
    ratios = step_ratios(normal)
    assert ratios.tolist() == [1.0, 1.0, 0.5]
    judged = np.array([[3.0, 1.0, 3.0, np.nan], [2.9, 1.0, 3.0, np.nan], [1.5, 1.6, 9.0, np.nan]])
    assert votes(judged, ratios, 3.0).tolist() == [2, 1, 3, 0]


def test_steps_without_an_error_are_judged_like_the_last() -> None:
    """If nothing was imputed there is no ratio, and no division by zero."""
    assert step_ratios(np.full((3, 4), np.nan)).tolist() == [1.0, 1.0, 1.0]
    assert step_ratios(np.array([[1.0], [0.0]])).tolist() == [1.0, 1.0]
