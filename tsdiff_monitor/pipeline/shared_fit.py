"""The one network that the groups of a monitor share (``shared: true``): when it is fit, and when used as it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import pandas as pd

from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.detectors.diffusion.runtimes import require_torch
from tsdiff_monitor.errors import ModelError
from tsdiff_monitor.models.repository import fingerprint
from tsdiff_monitor.timeseries.frame import Frame, Group

if TYPE_CHECKING:
    from tsdiff_monitor.detectors.diffusion.shared_network import SharedNetwork
    from tsdiff_monitor.pipeline.tick import Pipeline

__all__ = ["shared_network", "stored_network"]

_OF_THE_NETWORK = {"type", "window", "shared", "fit_steps", "fit_budget", "width", "layers", "score", "seed"}
"""The settings that the network and its rehearsal depend on; all others are the groups' own."""


def stored_network(pipeline: Pipeline) -> SharedNetwork | None:
    """The network to serve a group with now; None where groups share none, or none that can be used is stored."""
    config = pipeline.model
    if not isinstance(config, DiffusionModelConfig) or not config.shared:
        return None
    try:
        network = pipeline.models.get_shared(pipeline.name)
    except ModelError:
        return None
    return network if network.serves(config) else None


def shared_network(
    pipeline: Pipeline,
    groups: Iterable[Group],
    history: Callable[[Group], Frame],
    *,
    only_missing: bool,
    progress: Callable[[Group, int, int], None],
    clock: Callable[[], float],
) -> SharedNetwork | None:
    """The network for a fit of ``groups``, each with its ``history``; None where groups share none.

    The stored one if it was fit on just these histories, or ``only_missing`` groups are to be fit: they are served by
    what there is. Otherwise one is fit, told to ``progress`` as the group without labels, and stored. Raises
    :class:`~tsdiff_monitor.errors.DataError` when no history is long enough.
    """
    config = pipeline.model
    if not isinstance(config, DiffusionModelConfig) or not config.shared:
        return None
    if only_missing and (network := stored_network(pipeline)) is not None:
        return network
    require_torch("fitting needs torch, which is not installed: pip install torch, or fit on another machine")
    from tsdiff_monitor.detectors.diffusion.fit_shared import fit_shared

    own = DiffusionModelConfig.model_validate(config.model_dump(include=_OF_THE_NETWORK))
    events = pipeline.monitor.events
    quiet_rows = max(events.resolve_rows, math.ceil(pd.Timedelta(events.cooldown) / pipeline.step))
    digest = hashlib.sha256(repr((events.confirm_rows, quiet_rows)).encode())
    histories = {group: history(group) for group in sorted(groups)}
    for group, frame in histories.items():
        digest.update((repr(group) + fingerprint(frame, own, 0)).encode())
    mark = digest.hexdigest()
    try:
        return pipeline.models.get_shared(pipeline.name, mark)
    except ModelError:  # it is fit now
        pass
    network = fit_shared(
        histories.values(), config,
        confirm_rows=events.confirm_rows, quiet_rows=quiet_rows,
        progress=lambda done, total: progress((), done, total), clock=clock,
    )  # fmt: skip
    pipeline.models.put_shared(pipeline.name, network, mark)
    return network
