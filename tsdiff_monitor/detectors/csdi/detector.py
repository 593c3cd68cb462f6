"""The reference detector: CSDI's network and ImDiffusion's procedure behind the interface of all detectors.

Differences from the papers are the product's needs: thresholds and step ratios come from held-out rows of the fit, not
from the rows that are judged; scores are calibrated to an alarm rate; missing cells are allowed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch

from tsdiff_monitor.detectors.cards import identity, metric_cards
from tsdiff_monitor.detectors.csdi.card import CsdiCard, NormalErrors
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.csdi.errors import CsdiModel
from tsdiff_monitor.detectors.csdi.procedure import train
from tsdiff_monitor.detectors.csdi.voting import step_ratios, votes
from tsdiff_monitor.detectors.diffusion.files import load_stored, restored, save_model
from tsdiff_monitor.detectors.fitted import FittedDetector, Quantiles, require_history
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.diffusion.randomness import drawn_from, seeded
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.holdout import HistorySplit, split_history
from tsdiff_monitor.scoring.rules import Rule, discounted, disregarded
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.selection import aligned

__all__ = ["CsdiDetector"]

_MODES: tuple[Mode, ...] = ("stream", "batch")


@dataclass(frozen=True, eq=False)
class CsdiDetector(FittedDetector[CsdiCard]):
    """A fitted reference model of one group. Immutable; the same rows always give the same scores.

    The score is the mean error over voting steps and metrics; an attribution is a metric's share of it. Expected values
    are imputed as in the papers, by quantiles of samples: bars of rows of all metrics are hidden, given the bars
    between them.
    """

    model: CsdiModel

    @property
    def config(self) -> CsdiReferenceConfig:
        """The configuration of the fit."""
        return self.card.config

    @cached_property
    def identity(self) -> str:
        """Stands for this fit; the same after a restart."""
        return identity(self.card)

    @classmethod
    def fit(
        cls,
        frame: Frame,
        config: CsdiReferenceConfig | None = None,
        *,
        confirm_rows: int = 2,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Fit on ``frame``; a part of it is held out, and a few windows of that are denoised for calibration.

        ``progress`` gets (steps done, steps planned): those of the training, then one for each mode calibrated, which
        takes as long as ``calibration_windows`` say. Raises :class:`DataError` for fewer rows than a window or a frame
        without a value.
        """
        config = config or CsdiReferenceConfig()
        require_history(frame, config.window)
        scaler = Scaler.fit(frame.values)
        scaled = scaler.transform(frame.values)
        split = split_history(scaled, config.window)
        planned = config.fit_steps + len(_MODES)
        generator = seeded(config.seed)
        with drawn_from(generator):
            model = CsdiModel.build(len(frame.series), config)
        steps = train(
            model.network,
            model.schedule,
            torch.from_numpy(scaled),
            torch.from_numpy(split.training_starts),
            window=config.window,
            steps=config.fit_steps,
            conditional=config.conditional,
            generator=seeded(config.seed),
            dropout=generator,
            budget_seconds=config.fit_budget.total_seconds(),
            progress=lambda done, _total: progress(done, planned),
            clock=clock,
        )
        modes: dict[str, NormalErrors] = {}
        for done, mode in enumerate(_MODES, 1):
            modes[mode] = _normal_errors(model, scaled, scaler, split, mode, confirm_rows)
            progress(config.fit_steps + done, planned)
        card = CsdiCard.of_fit(frame, config, metric_cards(frame.names, scaler), modes=modes, steps=steps)
        return cls(card, scaler, model)

    def votes(self, frame: Frame, *, first: int = 0, mode: Mode = "batch") -> np.ndarray:
        """Number of voting steps that call each row anomalous ``[T - first]``: ImDiffusion's own verdict."""
        frame = aligned(frame, self.names, self.step_seconds)
        normal = self.card.modes[mode]
        errors, _ = self._errors(frame, min(first, len(frame)), mode)
        ratios = np.array(normal.ratios)
        rows = _row_errors(errors, np.array(normal.metrics), self.scaler) * ratios[:, None]
        return votes(rows, ratios, normal.vote_threshold)

    def _judge(self, frame: Frame, first: int, mode: Mode, rules: list[Rule]) -> tuple[np.ndarray, np.ndarray]:
        normal = np.array(self.card.modes[mode].metrics)
        errors, signed = self._errors(frame, first, mode)
        cells = blamed = errors.mean(0)  # [T, K]
        if rules:
            actual = frame.values[first:].astype(np.float64)
            expected = self.scaler.inverse(self.scaler.transform(actual) - signed)
            cells, blamed = discounted(cells, disregarded(rules, actual, expected), normal)
        return _row_errors(cells[None], normal, self.scaler)[0], np.sqrt(blamed)

    def _calibration(self, mode: Mode) -> Calibration:
        return self.card.modes[mode].calibration

    def _predict(self, frame: Frame, columns: list[int], rows: tuple[int, int], read: int) -> Quantiles:  # noqa: ARG002
        return self.model.samples(self.scaler.transform(frame.values), rows, read=min(read, self.config.window))

    def save(self, directory: Path) -> None:
        """Write weights and card; a crash in between leaves the previous model in place."""
        save_model(directory, self.card, self.model.network.state_dict())

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
        card, state = load_stored(directory, CsdiCard)
        network = restored(lambda: CsdiModel.build(len(card.metrics), card.config).network, state, directory)
        return cls(card, card.scaler(), CsdiModel(card.config, network))

    def _errors(self, frame: Frame, first: int, mode: Mode) -> tuple[np.ndarray, np.ndarray]:
        """Squared errors ``[V, T, K]`` of the voting steps, on the last one's scale, and signed ones ``[T, K]``."""
        squared, signed = self.model.errors(self.scaler.transform(frame.values), first=first, mode=mode)
        return squared / np.array(self.card.modes[mode].ratios)[:, None, None], signed


def _normal_errors(
    model: CsdiModel, scaled: np.ndarray, scaler: Scaler, split: HistorySplit, mode: Mode, confirm_rows: int
) -> NormalErrors:
    """Errors of normal rows, from the newest windows of each held-out block, as many as configured."""
    window = model.config.window
    each = max(model.config.calibration_windows // len(split.held_out), 1)
    length = each if mode == "stream" else (each - 1) * (window // 2) + window
    parts = []
    for begin, end in split.held_out:
        first = max(end - length, begin)
        context = max(first - window, 0)
        parts.append(model.errors(scaled[context:end], first=first - context, mode=mode)[0])
    errors = np.concatenate(parts, 1)  # [V, T, K]
    ratios = step_ratios(errors)
    errors = errors / ratios[:, None, None]
    seen = ~np.isnan(errors[0])
    metrics = np.where(seen, errors, 0.0).mean(0).sum(0) / np.maximum(seen.sum(0), 1)
    metrics = np.where(seen.any(0), metrics, 1.0)  # where there is nothing to learn from: a deviation
    rows = _row_errors(errors, metrics, scaler)
    last = rows[0][~np.isnan(rows[0])]
    stretches = np.split(rows.mean(0), np.cumsum([part.shape[1] for part in parts])[:-1])
    return NormalErrors(
        ratios=tuple(ratios.tolist()),
        metrics=tuple(metrics.tolist()),
        vote_threshold=float(np.percentile(last, model.config.vote_percentile)) if len(last) else 1.0,
        calibration=Calibration.fit(stretches, confirm_rows=confirm_rows),
    )


def _row_errors(errors: np.ndarray, normal: np.ndarray, scaler: Scaler) -> np.ndarray:
    """Mean of ``errors[V, T, K]`` over the metrics that had values in the history ``[V, T]``; NaN in a row without any.

    A missing cell counts as ``normal[K]``: missing data is no evidence.
    """
    used = errors[:, :, ~scaler.empty]
    missing = np.isnan(used)
    mean = np.where(missing, normal[~scaler.empty], used).sum(2) / max(used.shape[2], 1)
    return np.where(missing.all(2), np.nan, mean)
