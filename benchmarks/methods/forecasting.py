"""A small forecasting CNN, after DeepAnT (Munir et al., IEEE Access 2019): the error of the next row is the score."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.methods.base import Method, Scaling, Scorer, Setting

if TYPE_CHECKING:
    import torch

__all__ = ["METHODS", "cnn"]

_HISTORY = 48
_BATCH = 128
_STEPS = 800
_CHANNELS = 32
_LEAST_ERROR = 1e-2


def cnn(steps: int) -> Callable[[np.ndarray, Setting], Scorer]:
    """A fit by ``steps`` of Adam on windows of 48 rows. Errors are divided by each metric's mean in training."""

    def fit(train: np.ndarray, setting: Setting) -> Scorer:
        import torch

        from tsdiff_monitor.diffusion.randomness import drawn_from, seeded

        scaling = Scaling.fit(train)
        z = _padded(scaling(train))
        generator = seeded(setting.seed)
        with drawn_from(seeded(setting.seed)):
            network = _network(train.shape[1])
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
        for _ in range(steps):
            at = torch.randint(len(z) - _HISTORY, (_BATCH, 1), generator=generator) + torch.arange(_HISTORY + 1)
            window = z[at]
            # Huber: an incident in the training rows must not rule the fit.
            loss = torch.nn.functional.smooth_l1_loss(network(window[:, :-1].mT), window[:, -1])
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        usual = _errors(network, z).mean(0) + _LEAST_ERROR
        return lambda test: (_errors(network, _padded(scaling(test))) / usual).mean(1)

    return fit


def _network(metrics: int) -> torch.nn.Sequential:
    from torch import nn

    return nn.Sequential(
        nn.Conv1d(metrics, _CHANNELS, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(_CHANNELS, _CHANNELS, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(_CHANNELS * _HISTORY // 4, 128), nn.ReLU(), nn.Linear(128, metrics),
    )  # fmt: skip


def _padded(z: np.ndarray) -> torch.Tensor:
    """Rows ``[48 + T, K]``: the first is repeated before the start, so that every row has a history."""
    import torch

    return torch.from_numpy(np.pad(z, ((_HISTORY, 0), (0, 0)), mode="edge").astype(np.float32))


def _errors(network: torch.nn.Module, z: torch.Tensor) -> np.ndarray:
    """Squared error of each row's forecast ``[T, K]``."""
    import torch

    windows = z.unfold(0, _HISTORY + 1, 1)  # [T, K, 49]
    with torch.no_grad():
        parts = torch.split(windows, 4096)
        found = [(network(part[:, :, :-1].contiguous()) - part[:, :, -1]) ** 2 for part in parts]
    return torch.cat(found).double().numpy()


METHODS = {"cnn": Method("squared error of a forecasting CNN, per metric normalised", cnn(_STEPS), seeded=True)}
