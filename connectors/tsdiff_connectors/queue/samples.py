"""Samples as they are sent: the series of many groups without their gaps, one after the other, to be cut and joined."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Labels", "Samples"]

Labels = tuple[tuple[str, str], ...]
"""A series: its labels sorted by name, the metric's name being the one of ``__name__``; no value is empty."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """``N`` finite samples of ``S`` series: series ``s`` has those from ``ends[s - 1]`` to ``ends[s]``, in order."""

    labels: tuple[Labels, ...]
    ends: np.ndarray
    times_ms: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.times_ms)

    def __iter__(self) -> Iterator[tuple[Labels, np.ndarray, np.ndarray]]:
        """Each series with its times and values."""
        first = 0
        for labels, end in zip(self.labels, self.ends.tolist(), strict=True):
            yield labels, self.times_ms[first:end], self.values[first:end]
            first = end

    @classmethod
    def of(cls, labels: Sequence[Labels], times_ms: np.ndarray, values: np.ndarray) -> Samples:
        """The finite cells of ``values[S, T]``; a series without any is left out."""
        there = np.isfinite(values)
        counts = there.sum(axis=1)
        kept = tuple(one for one, count in zip(labels, counts.tolist(), strict=True) if count)
        times = np.broadcast_to(times_ms, values.shape)[there]
        return cls(kept, np.cumsum(counts[counts > 0]), times, values[there])

    @classmethod
    def join(cls, parts: Sequence[Samples]) -> Samples:
        """Parts that have no series in common, as one."""
        lengths = np.cumsum([0, *map(len, parts)])[:-1]
        return cls(
            tuple(labels for part in parts for labels in part.labels),
            np.concatenate([np.empty(0, np.int64), *(part.ends + at for part, at in zip(parts, lengths, strict=True))]),
            np.concatenate([np.empty(0, np.int64), *(part.times_ms for part in parts)]),
            np.concatenate([np.empty(0), *(part.values for part in parts)]),
        )

    def only(self, wanted: Collection[Labels]) -> tuple[Samples, Samples]:
        """Those of the ``wanted`` series, and the others."""
        chosen = np.fromiter((labels in wanted for labels in self.labels), bool, len(self.labels))
        return self._select(chosen), self._select(~chosen)

    def sample(self, series: int, at: int) -> Samples:
        """The sample at position ``at``, which is one of ``series``."""
        return self._cut(at, at + 1, self.labels[series : series + 1])

    def pieces(self, size: int, span_ms: int) -> list[Samples]:
        """Parts of about ``size`` samples in order of time; where the samples of ``span_ms`` are more, by series."""
        spans = self.times_ms // span_ms
        found: list[Samples] = []
        first, total = 0, 0
        starts, counts = np.unique(spans, return_counts=True)
        for number, count in enumerate([*counts.tolist(), size + 1]):
            if total and total + count > size:
                cells = (spans >= starts[first]) & (spans <= starts[number - 1])
                found += self._cells(cells)._split(size)
                first, total = number, 0
            total += count
        return found

    def _split(self, size: int) -> list[Samples]:
        """Parts of about ``size`` samples, each series whole in one of them."""
        found: list[Samples] = []
        first = 0
        while first < len(self.labels):
            start = int(self.ends[first - 1]) if first else 0
            last = max(int(np.searchsorted(self.ends, start + size, "right")), first + 1)
            end = int(self.ends[last - 1])
            cells = slice(start, end)
            ends = self.ends[first:last] - start
            found.append(Samples(self.labels[first:last], ends, self.times_ms[cells], self.values[cells]))
            first = last
        return found

    def halves(self) -> tuple[Samples, Samples]:
        """Two parts of about half the series; of a single series its earlier and its later samples."""
        if len(self.labels) == 1:
            middle = len(self) // 2
            return self._cut(0, middle, self.labels), self._cut(middle, len(self), self.labels)
        half = len(self.labels) // 2
        end = int(self.ends[half - 1])
        first = Samples(self.labels[:half], self.ends[:half], self.times_ms[:end], self.values[:end])
        return first, Samples(self.labels[half:], self.ends[half:] - end, self.times_ms[end:], self.values[end:])

    def _cut(self, first: int, last: int, labels: tuple[Labels, ...]) -> Samples:
        return Samples(labels, np.array([last - first]), self.times_ms[first:last], self.values[first:last])

    def _select(self, chosen: np.ndarray) -> Samples:
        return self._cells(np.repeat(chosen, np.diff(self.ends, prepend=0)))

    def _cells(self, cells: np.ndarray) -> Samples:
        """Some samples; series without any are left out."""
        ends = np.concatenate([[0], np.cumsum(cells)])[self.ends]
        there = np.diff(ends, prepend=0) > 0
        kept = tuple(labels for labels, one in zip(self.labels, there.tolist(), strict=True) if one)
        return Samples(kept, ends[there], self.times_ms[cells], self.values[cells])
