"""Drift: the distance of ordinary rows' scores from those of the history, since the fit.

Nothing stays as it was fit. New software, more users or a moved disk raise the scores of every row a little, and what
was the alarm of a bad minute becomes the alarm of every hour. So the median score of the last hours is followed, and a
score counts in units of the root of its rise:

    relative = score / sqrt(max(median of the last hours / median of the history, 1))

The root is a compromise between forgetting nothing (exponent 0: too many alarms after a drift) and everything
(exponent 1: an incident of hours is soon no longer seen); docs/measurements.md has the figures. The median lets
short incidents pass without a trace, and rows of open events are not followed at all: the event logic leaves them out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

__all__ = ["WINDOW_SECONDS", "Drift", "factors"]

WINDOW_SECONDS = 6 * 3600
"""Seconds that scores are followed back."""
_PIECES = 24
"""Of the window; the median is that of their medians."""
_LEAST = 6
"""With fewer pieces nothing can be said."""
_SAMPLES = 15
"""Rows of a piece that count at most, the first of each such part of it."""
_PIECE = WINDOW_SECONDS * 10**9 // _PIECES


@dataclass
class Drift:
    """The course of a group's scores, ``normal`` being that of an ordinary row of the history.

    ``pieces`` holds the number of each full piece, counted from the epoch, and its median; ``samples`` are the scores
    of the newest one, ``slot`` the part of it that was sampled last. ``factor`` is what scores are divided by. Scores
    are in units of the threshold in force; ``model`` is the identity of the fit that gave them, None if not known.
    """

    normal: float
    piece: int | None = None
    slot: int | None = None
    samples: list[float] = field(default_factory=list)
    pieces: list[tuple[int, float]] = field(default_factory=list)
    factor: float = 1.0
    model: str | None = None

    def is_of(self, normal: float, model: str | None) -> bool:
        """True for scores of the same fit; where its identity is not known, an equal ``normal`` has to do."""
        return self.normal == normal if self.model is None or model is None else self.model == model

    def rescale(self, normal: float, model: str | None) -> None:
        """Go on in units of the threshold by which an ordinary row of the history scores ``normal``."""
        if normal != self.normal:
            ratio = normal / self.normal
            self.samples = [score * ratio for score in self.samples]
            self.pieces = [(piece, level * ratio) for piece, level in self.pieces]
            self.normal = normal
        self.model = model or self.model

    def relative(self, time: int, score: float) -> float:
        """The score of the row at ``time`` (nanoseconds) as it counts; times never fall from call to call."""
        piece = time // _PIECE
        if piece != self.piece:
            if self.piece is not None and self.samples:
                self.pieces.append((self.piece, median(self.samples)))
            self.pieces = [one for one in self.pieces if one[0] >= piece - _PIECES]
            self.piece, self.samples = piece, []
            known = [level for _, level in self.pieces]
            rise = median(known) / self.normal if len(known) >= _LEAST else 1.0
            self.factor = math.sqrt(max(rise, 1.0))
        return score / self.factor

    def add(self, time: int, score: float) -> None:
        """Take in a row's own score, after :meth:`relative` of the same row."""
        slot = time * _SAMPLES // _PIECE
        if slot != self.slot:
            self.slot = slot
            self.samples.append(score)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Drift:
        return cls(**{**raw, "pieces": [(piece, level) for piece, level in raw["pieces"]]})


def factors(score: np.ndarray, normal: float, step_seconds: float) -> np.ndarray:
    """Divisors ``[T]`` of the scores ``[T]`` of consecutive rows; NaN are passed over."""
    drift, step = Drift(normal), round(step_seconds * 10**9)
    out = np.ones(len(score))
    for row, own in enumerate(score.tolist()):
        if math.isfinite(own):
            drift.relative(row * step, own)
            drift.add(row * step, own)
        out[row] = drift.factor
    return out
