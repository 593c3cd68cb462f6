"""The denoiser by ONNX Runtime (https://onnxruntime.ai/docs/api/python/): scoring on machines without torch.

The graph is the whole D(x; σ | given cells), preconditioning included, as
:func:`tsdiff_monitor.diffusion.export.export_onnx` writes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.system.extras import missing_package
from tsdiff_monitor.system.threads import threads

__all__ = ["OnnxDenoiser"]


class OnnxDenoiser:
    """A :class:`~tsdiff_monitor.diffusion.denoiser.WindowDenoiser` from the bytes of an ONNX ``graph``.

    With ``one_by_one`` each window is a run of its own. A dynamically quantised graph needs that: its activations share
    one scale, which must not depend on what else is in the batch. Raises :class:`ModelError` when ONNX Runtime is not
    installed or cannot run the graph.
    """

    def __init__(self, graph: bytes, *, one_by_one: bool) -> None:
        self.graph = graph
        self._one_by_one = one_by_one
        self._session = _session(graph)

    def denoise_arrays(
        self, noisy: np.ndarray, sigma: float | np.ndarray, windows: np.ndarray, target: np.ndarray
    ) -> np.ndarray:
        """The expected clean value of every cell, float32 ``[B, L, K]``."""
        given = {
            "noisy": np.ascontiguousarray(noisy, np.float32),
            "sigma": np.broadcast_to(np.asarray(sigma, np.float32), len(noisy)).copy(),
            "windows": np.ascontiguousarray(windows, np.float32),
            "target": np.ascontiguousarray(target),
        }
        size = 1 if self._one_by_one else len(noisy)
        runs = [
            self._session.run(None, {name: values[at : at + size] for name, values in given.items()})[0]
            for at in range(0, len(noisy), size)
        ]
        return np.concatenate(runs)


def _session(graph: bytes) -> Any:
    if missing := missing_package("a model with `runtime: onnx`", "onnxruntime"):
        raise ModelError(missing)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads() or 0
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # waiting threads sleep: ADR 6
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each fault has a class of its own, without a public base
        raise ModelError(
            f"ONNX Runtime {onnxruntime.__version__} cannot run the network ({error}); update onnxruntime, or fit again"
        ) from error
