"""Fits of several threads at once: each has the weights that it has alone."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from tests.detectors.diffusion.metrics import frame_of, made_values
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.csdi.detector import CsdiDetector
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.detector import DiffusionDetector
from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared
from tsdiff_monitor.detectors.registry import load_detector

torch.set_num_threads(1)

Weights = dict[str, np.ndarray]
Progress = Callable[[int, int], None]
SMALL: dict[str, Any] = {"window": 16, "width": 16, "layers": 1, "fit_steps": 10}
CSDI = CsdiReferenceConfig(
    window=16, layers=1, channels=8, steps=3, vote_steps=1, calibration_windows=4, samples=2, fit_steps=10
)
FRAME = frame_of(made_values(200, 2))


def _quiet(_done: int, _total: int) -> None:
    pass


def fit_own(network: str, seed: int = 0, progress: Progress = _quiet) -> Weights:
    config = DiffusionModelConfig(**SMALL, network=network, seed=seed)
    return _weights(DiffusionDetector.fit(FRAME, config, progress=progress).imputer)


def fit_for_all(seed: int = 0, progress: Progress = _quiet) -> Weights:
    config = DiffusionModelConfig(**SMALL, shared=True, seed=seed)
    return _weights(fit_shared([FRAME], config, progress=progress).imputer)


def fit_csdi(seed: int = 0, progress: Progress = _quiet) -> Weights:
    config = CSDI.model_copy(update={"seed": seed})
    return _weights(CsdiDetector.fit(FRAME, config, progress=progress).model)


def _weights(model: Any) -> Weights:
    return {name: tensor.numpy() for name, tensor in model.network.state_dict().items()}


def _same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


FITS = pytest.mark.parametrize(
    "fit",
    [lambda *a, **k: fit_own("time", *a, **k), lambda *a, **k: fit_own("two_way", *a, **k), fit_for_all, fit_csdi],
    ids=["time", "two_way", "shared", "csdi"],
)


class BeforeEachDraw(TorchFunctionMode):
    """Calls ``between`` before each draw of first weights in the block's thread."""

    def __init__(self, between: Callable[[], object]) -> None:
        super().__init__()
        self.between = between
        self.draws = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("uniform_", "randn"):
            self.draws += 1
            self.between()
        return func(*args, **(kwargs or {}))


@FITS
def test_loading_meanwhile_changes_no_weights(fit: Callable[..., Weights], tmp_path: Path) -> None:
    """A model loaded by another thread between any two draws of the first weights leaves the fit as it is alone."""
    DiffusionDetector.fit(FRAME, DiffusionModelConfig(**SMALL)).save(tmp_path / "own")
    CsdiDetector.fit(FRAME, CSDI).save(tmp_path / "csdi")
    alone = fit()
    with ThreadPoolExecutor(1) as other:

        def load() -> None:
            for folder in ("own", "csdi"):
                other.submit(load_detector, tmp_path / folder).result(timeout=60)

        with BeforeEachDraw(load) as hook:
            together = fit()
    assert hook.draws > 5
    assert _same(alone, together)


@FITS
def test_two_fits_at_once_are_those_alone(fit: Callable[..., Weights]) -> None:
    """Two fits that draw their first weights in turns have each its own weights, by its own seed."""
    alone = [fit(seed) for seed in (0, 1)]
    in_turn = Barrier(2, timeout=60)

    def interleaved(seed: int) -> Weights:
        with BeforeEachDraw(in_turn.wait):
            return fit(seed)

    with ThreadPoolExecutor(2) as threads:
        together = list(threads.map(interleaved, (0, 1)))
    assert _same(alone[0], together[0])
    assert _same(alone[1], together[1])
    assert not _same(alone[0], alone[1])


@FITS
def test_draws_between_two_steps_change_no_weights(fit: Callable[..., Weights]) -> None:
    """Numbers drawn from torch's generator elsewhere while a fit trains have no part in it."""
    alone = fit()
    assert _same(alone, fit(progress=lambda _done, _total: torch.rand(3)))


@FITS
def test_a_fit_leaves_torchs_generator_alone(fit: Callable[..., Weights]) -> None:
    """The caller's own random numbers go on as if there had been no fit."""
    before = torch.get_rng_state()
    fit()
    assert torch.equal(torch.get_rng_state(), before)
