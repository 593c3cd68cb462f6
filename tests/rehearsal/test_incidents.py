"""Placement of incidents."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from tests.rehearsal.conftest import normal_frame
from tsdiff_monitor.injection import KINDS
from tsdiff_monitor.rehearsal.incidents import Round, kind_rounds, metric_rounds

GAP = 40
VALUES = normal_frame(0, rows=1500).values


def changed(one: Round) -> np.ndarray:
    return np.asarray((one.values != VALUES) & ~(np.isnan(one.values) & np.isnan(VALUES)))


def apart(one: Round) -> bool:
    order = sorted(one.incidents, key=lambda incident: incident.start)
    return all(b.start - a.end >= GAP for a, b in pairwise(order))


def test_every_kind_as_often_as_asked() -> None:
    """Each kind has its incidents, apart from each other, and nothing else is changed."""
    made = list(kind_rounds(VALUES, KINDS, 4, GAP, np.random.default_rng(0)))
    kinds = [incident.kind for one in made for incident in one.incidents]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 4)
    for one in made:
        assert apart(one)
        inside = np.zeros(len(VALUES), dtype=bool)
        for incident in one.incidents:
            inside[incident.start : incident.end] = True
        assert not changed(one)[~inside].any()


def test_every_metric_alone() -> None:
    """Each metric has its incidents, and no other metric changes meanwhile."""
    made = list(metric_rounds(VALUES, [0, 1, 2], 5, GAP, np.random.default_rng(0)))
    metrics = [incident.metrics for one in made for incident in one.incidents]
    assert {metric: metrics.count(metric) for metric in set(metrics)} == {(0,): 5, (1,): 5, (2,): 5}
    for one in made:
        assert apart(one)
        for incident in one.incidents:
            assert set(np.flatnonzero(changed(one)[incident.start : incident.end].any(0))) == set(incident.metrics)


def test_rows_without_values_hold_no_incident() -> None:
    """Rows that were taken out stay out, however often it is tried; too few rows give fewer incidents, and an end."""
    values = VALUES.copy()
    values[300:] = np.nan
    made = list(kind_rounds(values, KINDS, 3, GAP, np.random.default_rng(0)))
    assert made
    assert all(incident.end <= 301 for one in made for incident in one.incidents)
    assert list(kind_rounds(VALUES[:20], KINDS, 3, GAP, np.random.default_rng(0))) == []
