"""Detectors without a network, for tests of all that surrounds them: instant, and independent of thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from tsdiff_monitor.detectors.protocol import Detector, Mode
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.scoring.rules import Rule
from tsdiff_monitor.timeseries.frame import Frame, Group, Series
from tsdiff_monitor.timeseries.scores import Expected, Scores

__all__ = ["StubDetector", "StubModels", "flat_frame", "host"]


def host(number: int) -> Group:
    return (("instance", f"web-{number:03d}"),)


def flat_frame(start: pd.Timestamp, rows: int, value: float = 0.5, step: str = "10min") -> Frame:
    """Two metrics at one value; above 1 is anomalous for a :class:`StubDetector`."""
    values = np.full((rows, 2), value, dtype=np.float32)
    return Frame(start, pd.Timedelta(step), values, (Series("cpu", query="all"), Series("memory", query="all")))


class StubDetector:
    """The score of a row is its largest value."""

    names = ("cpu", "memory")
    window = 4
    step_seconds = 600.0

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        rows = frame.rows(first, len(frame))
        known = np.nan_to_num(rows.values).astype(float)
        shares = known / np.maximum(known.sum(1, keepdims=True), 1e-9)
        score = np.where(rows.observed.any(1), known.max(1), np.nan)
        return Scores(rows.times, rows.series, score, shares)

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        rows = frame.rows(first, len(frame) if last is None else last)
        middle = np.full((len(rows), len(names)), 0.5)
        return Expected(rows.times, frame.select(names).series, middle, middle - 0.1, middle + 0.1)

    def save(self, directory: Path) -> None:
        raise NotImplementedError


class StubModels:
    """The same detector for every group but the ``missing`` ones."""

    def __init__(self, missing: Sequence[Group] = ()) -> None:
        self.missing = set(missing)

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
        if group in self.missing:
            raise ModelError("there is no model here; fit one first")
        return StubDetector()

    def exists(self, monitor: str, group: Group) -> bool:
        return group not in self.missing
