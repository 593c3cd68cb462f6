"""Executes the shapes that the diffusion code declares: every call in the tests checks its tensors."""

from __future__ import annotations

import pkgutil

import jaxtyping
import torch

import tsdiff_monitor.diffusion

_MODULES = [
    f"tsdiff_monitor.diffusion.{module.name}" for module in pkgutil.iter_modules(tsdiff_monitor.diffusion.__path__)
]
_MODULES += [f"tsdiff_monitor.detectors.csdi.{name}" for name in ("network", "procedure", "errors")]
_MODULES.append("benchmarks.methods.likelihood")
jaxtyping.install_import_hook(_MODULES, "beartype.beartype")

torch.set_num_threads(1)  # the tests' networks are small: more threads only wait for each other
