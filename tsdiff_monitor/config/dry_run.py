"""A configuration for dry runs: the same monitors, without notifications and without writing scores."""

from __future__ import annotations

import dataclasses

from tsdiff_monitor.config.loader import Config
from tsdiff_monitor.errors import ConfigError, ConfigProblem

__all__ = ["dry_run"]


def dry_run(config: Config, *, only: str | None = None) -> Config:
    """``config`` without notifiers and writers, with all monitors or ``only`` one.

    Raises :class:`ConfigError` when there is no monitor of that name.
    """
    if only is not None and only not in config.monitors:
        known = ", ".join(config.monitors)
        raise ConfigError(config.file, [ConfigProblem("monitors", f"there is no monitor {only!r}", f"it has: {known}")])
    monitors = {
        name: monitor.model_copy(update={"notify": (), "write": ()})
        for name, monitor in config.monitors.items()
        if only in (None, name)
    }
    settings = config.settings.model_copy(update={"routes": ()})
    return dataclasses.replace(config, settings=settings, monitors=monitors, notifiers={}, writers={})
