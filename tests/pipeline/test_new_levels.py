"""Learning from an event that ended because its level became normal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tsdiff_monitor.events.event import Change, ResolveReason
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.testing import MemoryReader, example_change, example_frame
from tsdiff_monitor.timeseries.frame import Frame, Group

WEB_1: Group = (("instance", "web-1"),)
STEP = pd.Timedelta("10min")
MakePipeline = Callable[..., Pipeline]


@pytest.mark.parametrize(("verdict", "learned"), [(None, True), ("real", False), ("false", True)])
def test_rows_at_the_new_level_are_learned(make_pipeline: MakePipeline, verdict: Any, learned: bool) -> None:
    """Those before it, on the way there, are not; of an event that somebody called real, none is."""
    frame = example_frame(100, step="10min", group=WEB_1)
    pipeline = make_pipeline(MemoryReader({WEB_1: frame}))
    start, level, end = (frame.start + STEP * row for row in (20, 40, 80))
    event = example_change(
        Change.resolved,
        1,
        group=WEB_1,
        start=start,
        end=end,
        last=end,
        reason=ResolveReason.adapted,
        adapted_from=level,
    )
    pipeline.store.commit("hosts", WEB_1, None, None, [event], [])
    if verdict is not None:
        pipeline.store.give_feedback(event.event.id, verdict, "", 0.0)
    seen = np.isfinite(pipeline.history(WEB_1, frame).values).all(1)
    assert seen[:20].all() and seen[80:].all()
    assert seen[20:40].all() == (verdict == "false")
    assert seen[40:80].all() == learned


def test_a_shift_is_an_event_then_normal_then_learned(make_pipeline: MakePipeline) -> None:
    """From the first row of a lasting change to a fit after it: one event, which ends by itself, and silence after."""
    usual = example_frame(520, step="10min", group=WEB_1, seed=1)
    values = usual.values.copy()
    values[310:] += np.array([8, -5, 12])
    shifted = Frame(usual.start, usual.step, values, usual.series)
    monitor = {"events": {"adapt_after": "8h"}}
    pipeline = make_pipeline(MemoryReader({WEB_1: shifted}), monitor=monitor)
    begin = shifted.start + 300 * STEP
    for row in range(20, 181, 20):
        pipeline.tick(begin + row * STEP, since=begin)
    (event,) = pipeline.store.events("hosts")
    assert (event.reason, event.start) == (ResolveReason.adapted, shifted.start + 310 * STEP)
    pipeline.fit(begin + 180 * STEP)
    pipeline.tick(begin + 220 * STEP)
    assert pipeline.store.events("hosts") == [event]
