"""Samplers: from noise to samples of the clean data, one algorithm per module, all over the same denoiser.

``SAMPLERS`` names them for the configuration, each with the noise levels it steps through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tsdiff_monitor.diffusion.samplers.ddim import sample_ddim
from tsdiff_monitor.diffusion.samplers.ddpm import sample_ddpm
from tsdiff_monitor.diffusion.samplers.dpm_solver import sample_dpm_solver
from tsdiff_monitor.diffusion.samplers.heun import sample_heun
from tsdiff_monitor.diffusion.samplers.ode import sample_ode
from tsdiff_monitor.diffusion.samplers.protocol import Array, Denoiser, Noise
from tsdiff_monitor.diffusion.samplers.score_sde import sample_sde_ve, sample_sde_vp
from tsdiff_monitor.diffusion.schedules import Schedule, geometric_sigmas, karras_sigmas, vp_sigmas

__all__ = [
    "SAMPLERS",
    "Array",
    "Denoiser",
    "Noise",
    "Sampler",
    "SamplerName",
    "sample_ddim",
    "sample_ddpm",
    "sample_dpm_solver",
    "sample_heun",
    "sample_ode",
    "sample_sde_ve",
    "sample_sde_vp",
]

SamplerName = Literal["heun", "ddim", "ddpm", "sde_vp", "sde_ve", "ode", "dpm_solver"]
"""The samplers by the name the configuration uses."""


@dataclass(frozen=True)
class Sampler:
    """An algorithm, with one signature for all: (denoiser, noise of the first level, levels, further noise)."""

    sample: Callable[[Denoiser, Array, np.ndarray, Noise], Array]
    schedule: Schedule


# Where a paper leaves the levels open, those even in the VP SDE's time came out best on Gaussian data with few steps
# (docs/model.md); Heun keeps EDM's own and DPM-Solver++ those even in ln σ, its time.
SAMPLERS: Mapping[SamplerName, Sampler] = {
    "heun": Sampler(lambda denoise, x, sigmas, _noise: sample_heun(denoise, x, sigmas), karras_sigmas),
    "ddim": Sampler(sample_ddim, vp_sigmas),
    "ddpm": Sampler(sample_ddpm, vp_sigmas),
    "sde_vp": Sampler(sample_sde_vp, vp_sigmas),
    "sde_ve": Sampler(sample_sde_ve, vp_sigmas),
    "ode": Sampler(lambda denoise, x, sigmas, _noise: sample_ode(denoise, x, sigmas), vp_sigmas),
    "dpm_solver": Sampler(lambda denoise, x, sigmas, _noise: sample_dpm_solver(denoise, x, sigmas), geometric_sigmas),
}
