"""What every kind of detector offers, and which class stands behind a model's ``type``.

Detectors are imported when they are needed: a baseline never loads torch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tsdiff_monitor.cards import CARD, read_raw_card
from tsdiff_monitor.config.models import MODEL_TYPES, ModelConfig
from tsdiff_monitor.errors import CardVersionError, DamagedModelError
from tsdiff_monitor.frame import Frame
from tsdiff_monitor.scores import Expected, Scores
from tsdiff_monitor.scoring.rules import Rule

if TYPE_CHECKING:
    from tsdiff_monitor.shared import SharedNetwork

__all__ = ["Detector", "Mode", "fit_detector", "load_detector"]

Mode = Literal["stream", "batch"]
"""``stream``: each row from the rows before it, as live data comes; ``batch``: with context from both sides."""

_CLASSES = {
    "diffusion": "tsdiff_monitor.detector:DiffusionDetector",
    "baseline": "tsdiff_monitor.baselines.detector:BaselineDetector",
    "csdi_reference": "tsdiff_monitor.reference.detector:ReferenceDetector",
}
assert _CLASSES.keys() == MODEL_TYPES.keys()


class Detector(Protocol):
    """A fitted model of one group. Immutable: the same rows always give the same scores."""

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics of the fit, in its order."""
        ...

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        ...

    @property
    def step_seconds(self) -> float:
        """Seconds between rows."""
        ...

    def score(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Scores:
        """Score the rows from ``first`` on; earlier rows are context. ``rules`` are by series name.

        Raises :class:`~tsdiff_monitor.errors.SchemaMismatchError` when metrics or step are not those of the fit.
        """
        ...

    def expected(
        self, frame: Frame, names: Sequence[str], *, first: int = 0, last: int | None = None, read: int = 16
    ) -> Expected:
        """What the ``names`` should have been in rows ``first <= t < last``; ``read`` rows are worked out at once."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model; a crash in between leaves the previous one in place."""
        ...


def fit_detector(
    frame: Frame,
    config: ModelConfig,
    *,
    base: SharedNetwork | None = None,
    confirm_rows: int = 2,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], float] = time.monotonic,
) -> Detector:
    """Fit the kind of detector that ``config`` describes, on ``base`` where groups share a network.

    Raises :class:`~tsdiff_monitor.errors.DataError`.
    """
    options = {} if base is None else {"base": base}
    fitted: Detector = _class(config.type).fit(
        frame, config, confirm_rows=confirm_rows, progress=progress, clock=clock, **options
    )
    return fitted


def load_detector(directory: Path) -> Detector:
    """The detector stored in a folder, of whatever kind. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
    path, card = directory / CARD, read_raw_card(directory)
    kind = card.get("kind") if isinstance(card, dict) else None
    if not isinstance(kind, str):
        raise DamagedModelError(f"{path}: damaged, it does not say which kind of model it is; fit again")
    if kind not in _CLASSES:
        raise CardVersionError(f"{path}: a model of kind {kind!r}, which this version does not know; fit again")
    loaded: Detector = _class(kind).load(directory)
    return loaded


def _class(kind: str) -> Any:
    module, _, name = _CLASSES[kind].partition(":")
    return getattr(import_module(module), name)
