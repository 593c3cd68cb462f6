"""Synthetic anomalies in normal rows: they judge scores where there are no labels, and contaminate training.

The detection-generation loop of *Anomaly Detection and Generation with Diffusion Models* (arXiv 2506.09368). Needs no
torch: generated incidents ask a callable for conditional samples.
"""

from tsdiff_monitor.injection.generated import ConditionalSampler, generated_kinds
from tsdiff_monitor.injection.inject import AnomalyMix, Injected, InjectedAnomaly, inject
from tsdiff_monitor.injection.kinds import JUDGES, KINDS, AnomalyType, Perturbation
from tsdiff_monitor.injection.placement import Placement

__all__ = [
    "JUDGES",
    "KINDS",
    "AnomalyMix",
    "AnomalyType",
    "ConditionalSampler",
    "Injected",
    "InjectedAnomaly",
    "Perturbation",
    "Placement",
    "generated_kinds",
    "inject",
]
