"""Writing a trained denoiser as an ONNX graph (https://onnx.ai), for scoring without torch.

The graph computes D(x; σ | given cells) of :meth:`~tsdiff_monitor.diffusion.imputer.Imputer.denoise`, preconditioning
and masks included: inputs ``noisy[B, L, K]``, ``sigma[B]``, ``windows[B, L, K]`` (NaN = missing), ``target[B, L, K]``
(bool), output ``denoised[B, L, K]``, for any number B of windows.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tsdiff_monitor.diffusion.imputer import Imputer
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.system.extras import missing_package

__all__ = ["OPSET", "export_onnx", "require_exporter"]

OPSET = 18
"""Version of ONNX's operators: the one that torch's exporter writes without converting."""
_TALKATIVE = ("torch.onnx._internal.exporter._registration", "onnxscript", "onnx_ir")
_INPUTS = ("noisy", "sigma", "windows", "target")


class _Denoise(nn.Module):
    """An imputer as a module, as exporters want it."""

    def __init__(self, imputer: Imputer) -> None:
        super().__init__()
        self.network = imputer.network
        self.imputer = imputer

    def forward(
        self,
        noisy: Float[Tensor, "B L K"],
        sigma: Float[Tensor, " B"],
        windows: Float[Tensor, "B L K"],
        target: Bool[Tensor, "B L K"],
    ) -> Float[Tensor, "B L K"]:
        return self.imputer.denoise(noisy, sigma, windows, target)


def require_exporter() -> None:
    """Raises :class:`ModelError` when a package is missing that :func:`export_onnx` needs."""
    if missing := missing_package("fitting with `runtime: onnx`", "onnx", "onnxruntime", "onnxscript"):
        raise ModelError(missing)


def export_onnx(imputer: Imputer, *, window: int, metrics: int, precision: Literal["fp32", "int8"]) -> bytes:
    """The graph of a trained ``imputer`` for windows ``[B, window, metrics]``, weights included.

    With ``int8`` the matrix products are quantised dynamically, except those that read the data themselves. Raises
    :class:`ModelError` when a package is missing.
    """
    require_exporter()
    shape = (3, window, metrics)  # neither 0 nor 1, which would be taken as fixed
    example = (torch.zeros(shape), torch.ones(3), torch.zeros(shape), torch.ones(shape, dtype=torch.bool))
    with _quiet():
        program = torch.onnx.export(
            _Denoise(imputer).eval(),
            example,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=_INPUTS,
            output_names=("denoised",),
            dynamic_shapes={name: {0: torch.export.Dim("B")} for name in _INPUTS},
        )
        assert program is not None
        model = program.model_proto
        _strip(model)
        return _quantised(model) if precision == "int8" else bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tools' reports of their own work, a hundred lines per network."""
    loggers = [logging.getLogger(name) for name in _TALKATIVE]
    levels = [logger.level for logger in loggers]

    def of_others(record: logging.LogRecord) -> bool:
        return "onnxruntime" not in record.pathname  # the quantiser uses the root logger

    logging.getLogger().addFilter(of_others)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's own use of torch
            yield
    finally:
        logging.getLogger().removeFilter(of_others)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip(model: Any) -> None:
    """Take out where in the source each node came from: paths of this machine, and many bytes."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.initializer, *graph.input, *graph.output):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _quantised(model: Any) -> bytes:
    """Weights in 8 bits per channel, activations in 8 bits by the range they have in a run.

    Seven bits of the eight are used: with all eight, processors without VNNI saturate in sums of products.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        quantize_dynamic(
            model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8,
            nodes_to_exclude=_of_raw_values(model.graph),
        )  # fmt: skip
        return path.read_bytes()


def _of_raw_values(graph: Any) -> list[str]:
    """The matrix products that come before any layer norm, by name.

    They read the data: in one scale with an excursion of a million deviations nothing else could be distinguished.
    """
    bounded: set[str] = set()
    raw = []
    for node in graph.node:  # in topological order
        if node.op_type == "LayerNormalization" or bounded.intersection(node.input):
            bounded.update(node.output)
        elif node.op_type == "MatMul":
            raw.append(node.name)
    return raw
