"""The detector of each group: its fitted model, if there is one that can be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.errors import ModelError, TsdiffError
from tsdiff_monitor.system.internal_error import internal_error
from tsdiff_monitor.timeseries.frame import Group, group_name

__all__ = ["Choice", "ModelRef", "Models", "RememberedModels", "StoredModels", "choose_detectors"]


class Models(Protocol):
    """The place that scoring takes detectors from; :class:`~tsdiff_monitor.models.repository.ModelStore` is one."""

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
        """The group's model, or its cold start. Raises :class:`ModelError` when there is none that can be used."""
        ...


class StoredModels(Models, Protocol):
    """Models that know which of them are stored, usable or not."""

    def exists(self, monitor: str, group: Group) -> bool:
        """True if a model is stored for the group."""
        ...


@dataclass
class RememberedModels:
    """Models that stay the same from their first use on: for one tick, during which others may be fit."""

    models: StoredModels
    _detectors: dict[tuple[str, Group, bool], Detector] = field(default_factory=dict)

    def get(self, monitor: str, group: Group, *, cold: bool = False) -> Detector:
        """The group's model, or its cold start. Raises :class:`ModelError` when there is none that can be used."""
        key = (monitor, group, cold)
        if key not in self._detectors:
            self._detectors[key] = self.models.get(monitor, group, cold=cold)
        return self._detectors[key]

    def exists(self, monitor: str, group: Group) -> bool:
        """True if a model is stored for the group, usable or not."""
        return self.models.exists(monitor, group)


@dataclass(frozen=True)
class ModelRef:
    """The name of a model, resolved where scoring runs. ``cold``: the group's cold start."""

    monitor: str
    group: Group
    cold: bool = False

    def resolve(self, models: Models) -> Detector:
        """The detector. Raises :class:`ModelError`."""
        return models.get(self.monitor, self.group, cold=self.cold)


@dataclass
class Choice:
    """``found``: the model of each group that has one; ``missing``: groups to be fit; ``refused``: groups whose stored
    model cannot be used, and why (those to be fit are among the missing as well)."""

    found: dict[Group, ModelRef] = field(default_factory=dict)
    missing: list[Group] = field(default_factory=list)
    refused: list[tuple[Group, TsdiffError]] = field(default_factory=list)


def choose_detectors(models: StoredModels, monitor: str, groups: Iterable[Group]) -> Choice:
    """The fitted model of each of the ``groups``."""
    choice = Choice()
    for group in groups:
        reference = ModelRef(monitor, group)
        try:
            reference.resolve(models)
        except ModelError as error:
            choice.missing.append(group)
            if models.exists(monitor, group):
                choice.refused.append((group, error))
        except Exception as error:  # a bug in one group must not stop the others
            choice.refused.append((group, internal_error(error, monitor=monitor, group=group_name(group))))
        else:
            choice.found[group] = reference
    return choice
