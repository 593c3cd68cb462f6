"""Runtimes of a model's network: torch, or ONNX Runtime where torch is not installed (`runtime` of a model).

Fitting always takes torch. With ``runtime: onnx`` the trained network becomes an ONNX graph before anything is measured
with it, so thresholds belong to the graph that will score, quantised or not. Torch is imported where it is needed only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

import numpy as np

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.files import ModelCard, load_graph, load_network
from tsdiff_monitor.diffusion.denoiser import WindowDenoiser
from tsdiff_monitor.diffusion.onnx_denoiser import OnnxDenoiser
from tsdiff_monitor.diffusion.tensor_files import State
from tsdiff_monitor.errors import ModelError

if TYPE_CHECKING:
    from tsdiff_monitor.diffusion.imputer import Imputer

_SERVING: WeakValueDictionary[str, Imputer] = WeakValueDictionary()
"""The shared networks in memory, by the SHA-256 of their file."""

__all__ = ["fit_denoiser", "load_denoiser", "require_torch", "stored"]


def fit_denoiser(
    config: DiffusionModelConfig,
    base: Imputer | None,
    scaled: np.ndarray,
    starts: np.ndarray,
    *,
    progress: Callable[[int, int], None],
    clock: Callable[[], float],
) -> tuple[WindowDenoiser, int]:
    """The network as it will score, trained on windows of ``scaled[T, K]`` that begin at ``starts[N]``, and the steps.

    ``base`` is a shared network to begin from. Raises :class:`ModelError` when a package is missing.
    """
    torch = require_torch(
        "fitting needs torch, which is not installed: pip install torch, or fit on another machine with "
        "`runtime: onnx` and copy the model's folder here"
    )
    from tsdiff_monitor.detectors.diffusion.build import trained

    if config.runtime == "onnx":
        from tsdiff_monitor.diffusion.export import export_onnx, require_exporter

        require_exporter()  # before the long part
    imputer, steps = trained(
        config, base, torch.from_numpy(scaled), torch.from_numpy(starts), progress=progress, clock=clock
    )
    if config.runtime == "torch":
        return imputer, steps
    graph = export_onnx(imputer, window=config.window, metrics=scaled.shape[1], precision=config.precision)
    return _onnx(graph, config), steps


def load_denoiser(directory: Path, card: ModelCard, state: Mapping[str, np.ndarray]) -> WindowDenoiser:
    """The network of a stored model from its weights ``state``, or from the file that the card names.

    Groups served by the same shared network have the same object: a thousand of them take the memory of one. Raises a
    :class:`~tsdiff_monitor.errors.ModelError`.
    """
    if card.config.runtime == "onnx":
        return _onnx(load_graph(directory, card), card.config)
    require_torch(
        f"{directory}: the model is for torch, which is not installed: pip install torch, "
        "or fit the model with `runtime: onnx`"
    )
    from tsdiff_monitor.detectors.diffusion.build import stored_denoiser

    if card.network:
        known = _SERVING.get(card.network_sha256)
        if known is not None:
            return known
        state = load_network(directory, card)
    imputer = stored_denoiser(card.config, len(card.metrics), state, directory)
    return _SERVING.setdefault(card.network_sha256, imputer) if card.network else imputer


def stored(denoiser: WindowDenoiser, *, own: bool) -> tuple[State, bytes | State | None]:
    """Stored parts of a network: its weights as the group's ``own``, or the content of a file of its own.

    That is an ONNX graph, or the weights of a network that serves other groups as well.
    """
    if isinstance(denoiser, OnnxDenoiser):
        return {}, denoiser.graph
    from tsdiff_monitor.diffusion.imputer import Imputer

    assert isinstance(denoiser, Imputer)
    weights = {name: tensor.numpy() for name, tensor in denoiser.network.state_dict().items()}
    return (weights, None) if own else ({}, weights)


def require_torch(missing: str) -> Any:
    """The module; where it is not installed, raises :class:`ModelError` with the text ``missing``."""
    try:
        import torch
    except ImportError:
        raise ModelError(missing) from None
    return torch


def _onnx(graph: bytes, config: DiffusionModelConfig) -> OnnxDenoiser:
    return OnnxDenoiser(graph, one_by_one=config.precision == "int8")
