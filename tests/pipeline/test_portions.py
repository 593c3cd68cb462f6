"""Long histories of many groups are read in portions, where the source can be asked for some of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.pipeline.stubs import host
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.pipeline.pipeline import Pipeline
from tsdiff_monitor.plugins import Reading, ReadRequest
from tsdiff_monitor.testing import MemoryReader, example_frame

START = pd.Timestamp("2024-05-01T00:00:00Z")
MakePipeline = Callable[..., Pipeline]


class Selective:
    """Answers for the groups asked for alone; keeps how many each answer held."""

    selects_groups = True

    def __init__(self, inner: MemoryReader) -> None:
        self.inner = inner
        self.asked: list[tuple[pd.Timedelta, int]] = []

    def read(self, request: ReadRequest) -> Reading:
        frames = {
            group: frame
            for group, frame in self.inner.read(request).frames.items()
            if request.groups is None or group in request.groups
        }
        self.asked.append((request.end - request.start, len(frames)))
        return Reading(frames)


def test_a_fit_holds_few_histories_at_once(make_pipeline: MakePipeline) -> None:
    """Every group is fit, from portions of 64 groups; only a short reading, which finds the groups, holds all."""
    frame = example_frame(80, step="10min")
    reader = Selective(MemoryReader({host(n): frame for n in range(130)}))
    config = BaselineModelConfig(fit_window=frame.end - frame.start)
    pipeline = make_pipeline(reader, bare=True, model=config)
    result = pipeline.fit(frame.end)
    assert (len(result.fitted), result.errors) == (130, [])
    (first, found), *portions = reader.asked
    assert (found, first < frame.end - frame.start) == (130, True)
    assert [count for _, count in portions] == [64, 64, 2]


def test_a_source_that_cannot_be_asked_is_read_once(make_pipeline: MakePipeline) -> None:
    """Reading the whole fleet for every portion would cost more than it saves."""
    frame = example_frame(80, step="10min")
    reader: Any = MemoryReader({host(n): frame for n in range(70)})
    if hasattr(reader, "selects_groups"):
        inner, reader = reader, type("Whole", (), {"read": lambda self, request: inner.read(request)})()
    else:
        inner = reader
    pipeline = make_pipeline(reader, bare=True, model=BaselineModelConfig(fit_window=frame.end - frame.start))
    assert len(pipeline.fit(frame.end).fitted) == 70
    assert len(inner.requests) == 1
