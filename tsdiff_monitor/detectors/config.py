"""The ``models`` section: how a monitor's detector is built and fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.csdi.config import CsdiReferenceConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig

__all__ = ["DEFAULT_TYPE", "MODEL_TYPES", "ModelConfig", "model_class"]

ModelConfig = DiffusionModelConfig | BaselineModelConfig | CsdiReferenceConfig
"""Any entry of the section; ``type`` distinguishes them."""

DEFAULT_TYPE = "diffusion"
"""The ``type`` of an entry that does not say."""

MODEL_TYPES: Mapping[str, type[ModelConfig]] = {
    "diffusion": DiffusionModelConfig,
    "baseline": BaselineModelConfig,
    "csdi_reference": CsdiReferenceConfig,
}
"""The configuration class of each ``type``."""


def model_class(raw: Any) -> type[ModelConfig] | None:
    """The class that an entry, as the user wrote it, is to be checked with; None where its ``type`` is unknown."""
    named = raw.get("type", DEFAULT_TYPE) if isinstance(raw, Mapping) else DEFAULT_TYPE
    return MODEL_TYPES.get(named) if isinstance(named, str) else None
