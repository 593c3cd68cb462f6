"""Which of the fits that ticks ask for are made."""

from __future__ import annotations

from tsdiff_monitor.daemon.fit_requests import FIRST_WAIT, LONGEST_WAIT, FitRequests
from tsdiff_monitor.testing import FakeClock
from tsdiff_monitor.timeseries.frame import Group

WEB: frozenset[Group] = frozenset({(("service", "web"),)})
BOTH: frozenset[Group] = WEB | {(("service", "db"),)}


def test_one_fit_at_a_time() -> None:
    """A tick does not ask again while the fit it asked for is pending; other monitors are not concerned."""
    asked: list[str] = []
    requests = FitRequests(asked.append, FakeClock())
    assert requests.ask("hosts", WEB)
    assert not requests.ask("hosts", BOTH)
    assert requests.ask("shops", WEB)
    assert asked == ["hosts", "shops"]


def test_a_fit_in_vain_is_tried_less_and_less_often() -> None:
    """Groups that cannot be fit are tried again after 1, 2, 4, … minutes, at most an hour apart."""
    clock = FakeClock()
    requests = FitRequests(lambda monitor: None, clock)
    waits, last = [], clock()
    for _ in range(10):
        while not requests.ask("hosts", WEB):
            clock.advance(FIRST_WAIT / 2)
        waits.append(clock() - last)
        last = clock()
        requests.done("hosts")
    assert waits[:4] == [0, FIRST_WAIT, 2 * FIRST_WAIT, 4 * FIRST_WAIT]
    assert waits[-1] == LONGEST_WAIT


def test_a_new_group_is_fit_at_once() -> None:
    """A group not asked for before does not wait because another one failed."""
    requests = FitRequests(lambda monitor: None, FakeClock())
    assert requests.ask("hosts", WEB)
    requests.done("hosts")
    assert not requests.ask("hosts", WEB)
    assert requests.ask("hosts", BOTH)
