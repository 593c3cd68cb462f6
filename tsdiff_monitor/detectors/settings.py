"""The keys that every kind of model has."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tsdiff_monitor.settings.model import StrictModel

__all__ = ["ModelSettings"]


class ModelSettings(StrictModel):
    """Base of the configuration of a model. A derived class gives each key its default and its documentation."""

    if TYPE_CHECKING:  # each kind writes them out in the order that its users read them
        type: str
        window: int
        fit_window: timedelta
