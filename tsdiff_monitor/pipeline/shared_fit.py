"""The one network that the groups of a monitor share (``shared: true``): when it is fit, and when used as it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.runtimes import require_torch
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.models.repository import ModelStore, fingerprint
from tsdiff_monitor.pipeline.fitting import Progress
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.timeseries.frame import Frame, Group

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork

__all__ = ["shared_network", "stored_network"]

_OF_THE_NETWORK = {"type", "window", "shared", "fit_steps", "fit_budget", "width", "layers", "score", "seed"}
"""The settings that the network and its rehearsal depend on; all others are the groups' own."""


def stored_network(monitor: Monitor, models: ModelStore) -> SharedNetwork | None:
    """The network to serve a group with now; None where groups share none, or none that can be used is stored."""
    config = monitor.model
    if not isinstance(config, DiffusionModelConfig) or not config.shared:
        return None
    try:
        network = models.get_network(monitor.name)
    except ModelError:
        return None
    return network if network.serves(config) else None


def shared_network(
    monitor: Monitor,
    models: ModelStore,
    histories: Mapping[Group, Frame],
    *,
    progress: Progress,
    clock: Callable[[], float],
) -> SharedNetwork | None:
    """The network for a fit on ``histories``; None where groups share none.

    The stored one if it was fit on just these. Otherwise one is fit, reported to ``progress`` as the group without
    labels, and stored. Raises :class:`~tsdiff_monitor.errors.DataError` when no history is long enough.
    """
    config = monitor.model
    if not isinstance(config, DiffusionModelConfig) or not config.shared:
        return None
    require_torch("fitting needs torch, which is not installed: pip install torch, or fit on another machine")
    from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared

    own = DiffusionModelConfig.model_validate(config.model_dump(include=_OF_THE_NETWORK))
    events = monitor.config.events
    quiet_rows = max(events.resolve_rows, math.ceil(pd.Timedelta(events.cooldown) / monitor.step))
    digest = hashlib.sha256(repr((events.confirm_rows, quiet_rows)).encode())
    ordered = {group: histories[group] for group in sorted(histories)}
    for group, frame in ordered.items():
        digest.update((repr(group) + fingerprint(frame, own, 0)).encode())
    mark = digest.hexdigest()
    try:
        return models.get_network(monitor.name, mark)
    except ModelError:  # it is fit now
        pass
    network = fit_shared(
        ordered.values(), config,
        confirm_rows=events.confirm_rows, quiet_rows=quiet_rows,
        progress=lambda done, total: progress((), done, total), clock=clock,
    )  # fmt: skip
    models.put_shared(monitor.name, network, mark)
    return network
