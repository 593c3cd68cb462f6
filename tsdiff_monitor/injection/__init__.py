"""Synthetic incidents in normal rows: the judge of scores where there are no labels, and what contaminates training.

The detection-generation loop of *Anomaly Detection and Generation with Diffusion Models* (arXiv 2506.09368). Needs no
torch: generated incidents ask a callable for conditional samples.
"""

from tsdiff_monitor.injection.generated import ConditionalSampler, generated_kinds
from tsdiff_monitor.injection.inject import Incident, Injected, Mix, inject
from tsdiff_monitor.injection.kinds import JUDGES, KINDS, Change, Kind
from tsdiff_monitor.injection.site import Site

__all__ = [
    "JUDGES",
    "KINDS",
    "Change",
    "ConditionalSampler",
    "Incident",
    "Injected",
    "Kind",
    "Mix",
    "Site",
    "generated_kinds",
    "inject",
]
