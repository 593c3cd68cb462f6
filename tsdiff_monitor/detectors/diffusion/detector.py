"""The diffusion detector: fits on a frame of mostly normal history, scores new rows, explains them.

The entry point of the library::

    detector = DiffusionDetector.fit(history)
    scores = detector.score(frame)            # > 1 is anomalous
    expected = detector.expected(frame, names=["latency_p99_ms"])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from tsdiff_monitor.detectors.cards import metric_cards
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.files import ModelCard, PlanCard, load_stored, save_model
from tsdiff_monitor.detectors.diffusion.runtimes import fit_denoiser, load_denoiser, stored
from tsdiff_monitor.detectors.fitted import FittedDetector, Quantiles, require_history
from tsdiff_monitor.detectors.protocol import Mode
from tsdiff_monitor.diffusion.denoiser import Steps, WindowDenoiser, answered
from tsdiff_monitor.errors import DamagedModelError
from tsdiff_monitor.scoring.attribution import NormalResiduals
from tsdiff_monitor.scoring.bands import sample_band
from tsdiff_monitor.scoring.calibration import Calibration
from tsdiff_monitor.scoring.codebook import Codebook
from tsdiff_monitor.scoring.evidence import Evidence, fit_evidence
from tsdiff_monitor.scoring.holdout import holds_out, split_history
from tsdiff_monitor.scoring.plan import ScoringPlan, batch_plan, forecast_plan, stream_plan
from tsdiff_monitor.scoring.pooled_calibration import PooledCalibration
from tsdiff_monitor.scoring.reconstruction import residual_steps
from tsdiff_monitor.scoring.regression import Regression
from tsdiff_monitor.scoring.rules import Rule, discounted, disregarded
from tsdiff_monitor.scoring.scaling import Scaler
from tsdiff_monitor.timeseries.frame import Frame
from tsdiff_monitor.timeseries.scores import Scores

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["DiffusionDetector", "Mode"]

_SIGMA = 2.0
"""Noise level of scoring, in standard deviations of a metric (docs/model.md has the measurements)."""
_SIGMA_MAX = 20.0
"""So much noise that the network expects nothing of it: pure imputation."""
_WORDS = "codebook.words"
"""Name of the codebook among the weights."""
_MOMENTS, _QUANTILES = "regression.moments", "regression.quantiles"


@dataclass(frozen=True, eq=False)
class DiffusionDetector(FittedDetector[ModelCard]):
    """A fitted diffusion model of one group. Immutable: the same rows always give the same scores.

    Expected values are those given all the other metrics. Bands are quantiles of conditional samples, and widen where
    the data given has gaps. With ``read`` = 1 each row is expected from itself and the rows before it, at so many times
    the work.
    """

    imputer: WindowDenoiser
    codebook: Codebook
    regression: Regression | None = None
    """Expected values of a metric given the others, where the network cannot distinguish metrics."""

    @property
    def config(self) -> DiffusionModelConfig:
        """The configuration of the fit."""
        return self.card.config

    @property
    def window(self) -> int:
        """Rows that a row's score rests on, its own included."""
        return self.config.window + self._evidence("stream").reach

    @classmethod
    def fit(
        cls,
        frame: Frame,
        config: DiffusionModelConfig | None = None,
        *,
        base: SharedNetwork | None = None,
        confirm_rows: int = 2,
        progress: Callable[[int, int], None] = lambda _done, _total: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Fit on ``frame``; a part of it is held out for normalising and calibrating.

        Raises :class:`DataError` for fewer rows than a window or a frame without a value. With the same frame, seed and
        number of threads the result is the same, unless the time budget ends training early.

        With ``base`` its network is used as it is, or adapted by the configuration's ``adapt_steps``; the configuration
        is then that of ``base`` unless given, and :class:`ModelError` is raised when it asks for another network. A
        history too short to hold a part out takes the thresholds that ``base`` has learned from all such groups.
        """
        config = config or (DiffusionModelConfig() if base is None else base.config)
        if base is not None:
            base.check(config)
        require_history(frame, config.window)
        names = frame.names
        scaler = Scaler.fit(frame.values)
        scaled = scaler.transform(frame.values)
        split = split_history(scaled, config.window)
        imputer, steps = fit_denoiser(
            config, None if base is None else base.imputer, scaled, split.training_starts,
            progress=progress, clock=clock,
        )  # fmt: skip
        unscaled, active = scaler.constant | scaler.empty, ~scaler.empty
        codebook = Codebook.fit(scaled, split.held_out, seed=config.seed)
        pooled = {} if base is None or holds_out(len(frame), config.window) else base.pooled(config, confirm_rows)
        plans = {}
        for plan in _plans(config, len(names)):
            fitted, calibration = fit_evidence(
                imputer, plan, codebook, scaled, split.held_out, unscaled=unscaled, active=active,
                score=config.score, window=config.window, seed=config.seed, confirm_rows=confirm_rows,
                follow_seconds=frame.step.total_seconds() if plan.name == "stream" else None,
            )  # fmt: skip
            plans[plan.name] = PlanCard(normaliser=fitted.normal.mean, calibration=pooled.get(plan.name, calibration))
        metrics = metric_cards(names, scaler)
        card = ModelCard.of_fit(frame, config, metrics, plans=plans, steps=steps, typical=codebook.typical)
        regression = Regression.fit(scaled, split.held_out, band=config.band) if config.is_two_way(len(names)) else None
        return cls(card, scaler, imputer, codebook, regression)

    def score_steps(
        self,
        frame: Frame,
        *,
        first: int = 0,
        mode: Mode = "stream",
        alarms_per_week: float = 1.0,
        rules: Mapping[str, Rule] | None = None,
    ) -> Steps[Scores]:
        """:meth:`score` in steps: it asks for evaluations of ``imputer``, alone or together with other groups."""
        own, first, applied = self._prepared(frame, first, rules)
        raw, blamed = yield from self._judge_steps(own, first, mode, applied)
        return self._calibrated(frame, own, first, mode, alarms_per_week, raw, blamed)

    def _judge(self, frame: Frame, first: int, mode: Mode, rules: list[Rule]) -> tuple[np.ndarray, np.ndarray]:
        return answered(self._judge_steps(frame, first, mode, rules), self.imputer)

    def _judge_steps(
        self, frame: Frame, first: int, mode: Mode, rules: list[Rule]
    ) -> Steps[tuple[np.ndarray, np.ndarray]]:
        scaled = self.scaler.transform(frame.values)
        evidence = self._evidence(mode)
        begin = max(first - evidence.reach, 0)
        contribution = blamed = yield from evidence.contributions(scaled, first=begin)
        distance = evidence.distances(scaled, first=begin)
        if rules:
            since = max(begin - evidence.context, 0)  # the distance of a row takes in a few rows before it
            expected = yield from self._forecast(scaled, since)
            ignored = disregarded(rules, frame.values[since:], self.scaler.inverse(expected))
            as_expected = scaled.copy()
            as_expected[since:] = np.where(ignored, expected, scaled[since:])
            distance = np.minimum(distance, evidence.distances(as_expected, first=begin))
            contribution, blamed = discounted(contribution, ignored[begin - since :])
        return evidence.raw(contribution, distance)[first - begin :], blamed[first - begin :]

    def _calibration(self, mode: Mode) -> Calibration | PooledCalibration:
        return self.card.plans[mode].calibration

    def _predict(self, frame: Frame, columns: list[int], rows: tuple[int, int], read: int) -> Quantiles:
        scaled = self.scaler.transform(frame.values)
        hidden = np.isin(np.arange(scaled.shape[1]), columns)
        if self.regression is not None and not np.isnan(scaled[: rows[1], ~hidden]).all():
            return self.regression.expected(scaled[slice(*rows)], hidden)
        return sample_band(
            self.imputer, scaled, hidden,
            window=self.config.window, rows=rows, read=min(read, self.config.window),
            samples=self.config.samples, band=self.config.band, seed=self.config.seed,
            sampler=self.config.sampler, sampler_steps=self.config.sampler_steps,
        )  # fmt: skip

    def save(self, directory: Path, *, shared: Path | None = None) -> None:
        """Write weights and card; a crash in between leaves the previous model in place.

        A network served as it is goes into a file of its own, which is linked where the folder ``shared`` holds it.
        """
        arrays = {_WORDS: self.codebook.words}
        if self.regression is not None:
            arrays |= {_MOMENTS: self.regression.moments, _QUANTILES: self.regression.quantiles}
        state, network = stored(self.imputer, own=self.card.steps > 0)
        save_model(directory, self.card, {**state, **arrays}, network, shared=shared)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what :meth:`save` wrote. Raises a :class:`~tsdiff_monitor.errors.ModelError`."""
        card, state = load_stored(directory, ModelCard)
        regression = None
        try:
            codebook = Codebook(state.pop(_WORDS), card.typical)
            if card.config.is_two_way(len(card.metrics)):
                regression = Regression(state.pop(_MOMENTS), state.pop(_QUANTILES))
        except KeyError:
            raise DamagedModelError(f"{directory}: the weights are not those of the model card; fit again") from None
        imputer = load_denoiser(directory, card, state)
        return cls(card, card.scaler(), imputer, codebook, regression)

    def _evidence(self, mode: Mode) -> Evidence:
        plan = next(p for p in _plans(self.config, len(self.card.metrics)) if p.name == mode)
        normal = NormalResiduals(self.card.plans[mode].normaliser)
        return Evidence(
            plan, self.codebook, normal, ~self.scaler.empty,
            self.config.score, self.config.window, self.config.seed,
        )  # fmt: skip

    def _forecast(self, scaled: np.ndarray, first: int) -> Steps[np.ndarray]:
        """The expected value of each row's metrics by pure imputation from the rows before, in scaled units."""
        window, seed = self.config.window, self.config.seed
        plan = forecast_plan(window, scaled.shape[1], sigma=_SIGMA_MAX)
        _, signed = yield from residual_steps(scaled, plan, window=window, first=first, seed=seed)
        return np.asarray(scaled[first:] - signed)


def _plans(config: DiffusionModelConfig, metrics: int) -> tuple[ScoringPlan, ...]:
    return _plans_of(config.window, metrics, config.seed)


@lru_cache(maxsize=64)
def _plans_of(window: int, metrics: int, seed: int) -> tuple[ScoringPlan, ...]:
    """The plans of all groups of one size: made once, for a tick scores thousands of them."""
    return stream_plan(window, metrics, sigma=_SIGMA, seed=seed), batch_plan(window, metrics, sigma=_SIGMA)
