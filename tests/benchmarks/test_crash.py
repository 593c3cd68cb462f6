"""The crash benchmark: that it runs, that it is clean, and that it would see a loss."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.crash import audit, main
from benchmarks.crash_scenario import PLACES, Scenario, make_scenario
from benchmarks.crash_world import DATABASE, digest, live
from benchmarks.storm import LIMITS, storm
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import FakeClock


@pytest.fixture
def lived(tmp_path: Path) -> tuple[Scenario, Path, Path]:
    """A scenario, and folders of the state and of what was sent, after a life in which nothing went wrong."""
    place, inboxes = tmp_path / "state", tmp_path / "sent"
    inboxes.mkdir()
    scenario = make_scenario(1, groups=1)
    live(scenario, place, inboxes, FakeClock())
    return scenario, place, inboxes


def test_fifty_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Crashes, errors and kills, each followed by a restart: nothing is lost and no key doubled."""
    out = tmp_path / "crash.json"
    assert main(["--points", "50", "--kill", "4", "--events", "10", "--seed", "3", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    wrong = [found[name] for name in ("lost", "needless", "doubled_keys", "out_of_order")]
    assert (found["points"], *wrong) == (50, 0, 0, 0, 0)
    assert found["by_kind"]["kill -9"] == 4
    assert len(found["by_kind"]) > 5
    assert found["changes"] > 20
    shown = capsys.readouterr().out
    assert "lost          0  (asked: 0)" in shown and "doubled keys  0  (asked: 0)" in shown


def test_an_undisturbed_life_is_clean(lived: tuple[Scenario, Path, Path]) -> None:
    """Every place was sent every change exactly once."""
    found = audit(*lived)
    assert found.changes >= 4
    assert found.good
    assert found.sent_again == 0


def test_a_life_with_an_incident_is_clean(tmp_path: Path) -> None:
    """Of a common burst the places hear once; one message about a member besides is seen."""
    scenario, inboxes = make_scenario(2), tmp_path / "sent"
    inboxes.mkdir()
    live(scenario, tmp_path / "state", inboxes, FakeClock())
    found = audit(scenario, tmp_path / "state", inboxes)
    assert found.incidents > 0
    assert found.good
    changes, to_send = scenario.undisturbed()
    suppressed = next(key for key in changes if key not in to_send)
    with (inboxes / PLACES[0]).open("a") as inbox:
        inbox.write(f"{suppressed} {digest(changes[suppressed])}\n")
    found = audit(scenario, tmp_path / "state", inboxes)
    assert (found.needless, found.good) == (1, False)


def dropped(lines: list[str]) -> list[str]:
    return lines[1:]


def changed(lines: list[str]) -> list[str]:
    return [*lines, f"{lines[0].split()[0]} feed"]


def swapped(lines: list[str]) -> list[str]:
    return [lines[1], lines[0], *lines[2:]]


def repeated(lines: list[str]) -> list[str]:
    return [*lines, lines[0]]


@pytest.mark.parametrize(
    ("spoil", "seen"),
    [(dropped, "lost"), (changed, "doubled_keys"), (swapped, "out_of_order"), (repeated, "sent_again")],
)
def test_what_went_wrong_is_seen(
    lived: tuple[Scenario, Path, Path], spoil: Callable[[list[str]], list[str]], seen: str
) -> None:
    """A message that never came, one key for two contents, a wrong order, and what may be: the same again."""
    scenario, place, inboxes = lived
    inbox = inboxes / PLACES[0]
    inbox.write_text("".join(f"{line}\n" for line in spoil(inbox.read_text().splitlines())))
    found = audit(scenario, place, inboxes)
    assert getattr(found, seen) == 1
    assert found.good == (seen == "sent_again")


def test_a_store_that_forgot_is_seen(lived: tuple[Scenario, Path, Path]) -> None:
    """Changes that are not in the store are lost, though all were sent."""
    scenario, place, inboxes = lived
    with Store(place / DATABASE) as store:
        last = max(event.last for event in store.events())
        assert store.prune(last) > 0
    assert audit(scenario, place, inboxes).lost > 0


def test_a_storm_keeps_to_every_limit(tmp_path: Path) -> None:
    """All arrive, nothing comes before the time a place asked for, and a paced place gets one message a pace."""
    limits = {name: LIMITS[name] for name in ("slack", "webhook", "console")}
    found = storm(tmp_path, 150, limits)
    assert (found.lost, found.too_soon) == (0, 0)
    assert found.refused["slack"] == 0 < found.refused["webhook"]
    assert 149 <= found.seconds["slack"] < 170
    assert found.seconds["console"] < 10


def test_memory_is_flat_in_a_storm(tmp_path: Path) -> None:
    """Delivering six times as many events takes hardly more memory."""
    limits = {name: LIMITS[name] for name in ("grafana", "console")}
    few, many = storm(tmp_path / "few", 50, limits).peak_bytes, storm(tmp_path / "many", 300, limits).peak_bytes
    assert many < few + 2_000_000
