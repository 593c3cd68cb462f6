"""Nothing grows for ever: groups that come and go leave neither rows nor models."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest

from tsdiff_monitor.detectors.protocol import Detector
from tsdiff_monitor.events.event import Change, Event, EventChange
from tsdiff_monitor.models.repository import ModelStore
from tsdiff_monitor.store.records import GroupCommit, TickCommit
from tsdiff_monitor.store.retention import Forgotten, Keep, forget_old
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_event
from tsdiff_monitor.timeseries.frame import Group

T0 = pd.Timestamp("2200-01-01T00:00:00Z")  # the folders that a test makes are older than any day of its clock
DAY = pd.Timedelta(days=1)
KEEP = Keep(timedelta(days=400), timedelta(days=30))
MONITORS = {"hosts": timedelta(days=1)}


class Plain:
    """A model that is a card."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "card.json").write_text("{}")


MODEL = cast(Detector, Plain())


def pod(name: object) -> Group:
    return (("pod", f"{name}"),)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "state.sqlite", now=lambda: 0.0) as opened:
        yield opened


@pytest.fixture
def models(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def scored(store: Store, day: float, *groups: Group, monitor: str = "hosts") -> None:
    store.commit_tick(TickCommit(monitor, [GroupCommit(group, [], T0 + day * DAY, {}) for group in groups]))


def forget(store: Store, models: ModelStore, day: float, monitors: Mapping[str, timedelta] = MONITORS) -> Forgotten:
    return forget_old(store, models, monitors, T0 + day * DAY, KEEP)


def found(store: Store, group: Group, *, end: pd.Timestamp | None = None, notifiers: tuple[str, ...] = ()) -> Event:
    """An event of a group, which is scored no further."""
    event = dataclasses.replace(example_event(id="e", group=group, start=T0, last=T0), end=end)
    store.commit("hosts", group, None, {}, [EventChange(Change.opened, event, 1)], notifiers)
    return event


def test_weeks_of_groups_leave_the_last_thirty_days(store: Store, models: ModelStore, tmp_path: Path) -> None:
    """With ten new ones a day: rows, folders and loaded models are those of the groups seen in thirty days."""
    seen: list[int] = []
    for day in range(100):
        pods = [pod(f"{day}-{n}") for n in range(10)]
        scored(store, day, *pods)
        for group in pods:
            models.put("hosts", group, MODEL, "")
            models.put_cold("hosts", group, MODEL)
        forget(store, models, day)
        folders = list((tmp_path / "models" / "hosts").iterdir())
        assert len(store.groups("hosts")) == len(folders)
        assert len(models._loaded) == 2 * len(folders)
        seen.append(len(folders))
    assert seen[:31] == [10 * (day + 1) for day in range(31)]
    assert set(seen[31:]) == {310}
    assert store.watched_since("hosts") == T0


def test_a_group_that_comes_back_begins_anew(store: Store, models: ModelStore) -> None:
    """Without a model, and with nothing remembered."""
    scored(store, 0, pod(1), pod(2))
    models.put("hosts", pod(1), MODEL, "")
    scored(store, 30, pod(2))
    assert forget(store, models, 30) == Forgotten()
    scored(store, 30.1, pod(2))
    assert forget(store, models, 30.1) == Forgotten(groups=1)
    assert store.group_state("hosts", pod(1)).last_scored is None
    assert not models.exists("hosts", pod(1))
    scored(store, 31, pod(1))
    assert store.groups("hosts") == [pod(1), pod(2)]


def test_a_group_with_unfinished_business_is_kept(store: Store, models: ModelStore) -> None:
    """While its event is open, and while a delivery about it is pending."""
    scored(store, 0, pod(1), pod(2))
    event = found(store, pod(1))
    scored(store, 90, pod(2))
    assert forget(store, models, 90) == Forgotten()
    over = EventChange(Change.resolved, dataclasses.replace(event, end=T0 + DAY), 2)
    store.commit("hosts", pod(1), None, {}, [over], ["slack"])
    assert forget(store, models, 90) == Forgotten()
    store.mark_delivered(store.due(1.0, 1)[0].id, 1.0)
    assert forget(store, models, 90) == Forgotten(groups=1)
    assert store.groups("hosts") == [pod(2)]


def test_a_source_that_is_away_costs_nothing(store: Store, models: ModelStore) -> None:
    """Age is counted from the newest row of the same monitor, not by the clock nor by other monitors."""
    scored(store, 0, pod(1), pod(2))
    scored(store, 100, pod(1), monitor="other")
    both = {"hosts": timedelta(days=1), "other": timedelta(days=1)}
    assert forget(store, models, 3000, both) == Forgotten()
    assert forget(store, models, 3000, {"hosts": timedelta(days=1)}) == Forgotten()
    assert forget(store, models, 3000, {}) == Forgotten()
    assert store.groups("hosts") == [pod(1), pod(2)]


def test_a_group_is_kept_until_it_is_taken_to_be_gone(store: Store, models: ModelStore) -> None:
    """A monitor's ``forget_after`` that is longer counts."""
    scored(store, 0, pod(1), pod(2))
    scored(store, 50, pod(2))
    assert forget(store, models, 50, {"hosts": timedelta(days=60)}) == Forgotten()
    assert forget(store, models, 50, {"hosts": timedelta(days=40)}) == Forgotten(groups=1)


def test_a_monitor_that_left_the_configuration_is_forgotten(store: Store, models: ModelStore, tmp_path: Path) -> None:
    """Parts of a monitor whose rows are old by those of the others: its groups, then the network that they shared."""
    scored(store, 0, pod(1), monitor="former")
    models.put("former", pod(1), MODEL, "")
    models.put_shared("former", cast(Any, MODEL), "")
    scored(store, 29, pod(1))
    assert forget(store, models, 29) == Forgotten()
    scored(store, 31, pod(1))
    assert forget(store, models, 31) == Forgotten(groups=1)
    assert forget(store, models, 31) == Forgotten(folders=1)
    assert list((tmp_path / "models").iterdir()) == []


def test_models_of_no_group_are_swept(store: Store, models: ModelStore, tmp_path: Path) -> None:
    """As a crash leaves them; what the configuration still needs and what is not ours stays."""
    scored(store, 99, pod(1))
    for group in (pod(1), pod(2)):
        models.put("hosts", group, MODEL, "")
        models.put("new", group, MODEL, "")
    models.put_shared("hosts", cast(Any, MODEL), "")
    folder = tmp_path / "models" / "hosts"
    (folder / "notes").mkdir()
    (folder / "file-0123abcd").write_text("")
    (folder / "link-0123abcd").symlink_to(tmp_path)
    (tmp_path / "models" / "README").write_text("")
    configured = {"hosts": timedelta(days=1), "new": timedelta(days=1)}
    before = {path.name for path in folder.iterdir()}
    assert forget(store, models, 99, configured) == Forgotten(folders=1)
    assert before - {path.name for path in folder.iterdir()} == {models.path("hosts", pod(2)).name}
    assert models.exists("new", pod(1))  # fit, and not scored yet


def test_young_models_of_no_group_stay(models: ModelStore) -> None:
    """They may have been fit, or copied here, before the first row is scored."""
    models.put("hosts", pod(1), MODEL, "")
    now = pd.Timestamp.now(tz="UTC")
    assert models.sweep({"hosts": []}, {"hosts": now - DAY}, now - DAY) == 0
    assert models.sweep({}, {}, now - DAY) == 0
    assert models.sweep({"hosts": []}, {"hosts": now + DAY}) == 1
    assert ModelStore(Path("nowhere")).sweep({}, {}, now) == 0


def test_the_models_used_last_stay_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are loaded again when they are needed; shared networks are not counted."""
    loaded: list[str] = []

    def load(folder: Path) -> Detector:
        loaded.append(folder.name.partition("-")[0])
        return MODEL

    monkeypatch.setattr("tsdiff_monitor.detectors.registry.load_detector", load)
    models = ModelStore(tmp_path, kept=2)
    models.put_shared("hosts", cast(Any, MODEL), "")
    for name in "ab":
        models.put("hosts", pod(name), MODEL, "")
    models.get("hosts", pod("a"))
    models.put("hosts", pod("c"), MODEL, "")
    for name in "acba":
        models.get("hosts", pod(name))
    assert loaded == ["pod=b", "pod=a"]
    assert len(models._loaded) == 2
    assert models.get_network("hosts") is MODEL
