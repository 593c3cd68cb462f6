"""Signals that ask the process to stop."""

from __future__ import annotations

import os
import signal

import pytest

from tsdiff_monitor.daemon.process import StopSignals
from tsdiff_monitor.testing import FakeClock


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_the_wait_and_the_second_the_process(number: signal.Signals) -> None:
    """One signal asks for an orderly stop, another one later exits at once with 128 plus its number."""
    exits: list[int] = []
    timer = FakeClock()
    with StopSignals(exits.append, timer) as signals:
        os.kill(os.getpid(), number)
        assert signals.wait() == number.name
        timer.advance(2)
        os.kill(os.getpid(), number)
        assert exits == [128 + number]


def test_the_same_request_received_twice_is_one() -> None:
    """Shells and process managers signal a process and its group at once: that is no second request."""
    exits: list[int] = []
    with StopSignals(exits.append, FakeClock()) as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.wait() == "SIGTERM"
    assert exits == []


def test_the_handlers_found_are_restored() -> None:
    """Afterwards signals mean what they meant before."""
    before = signal.getsignal(signal.SIGTERM)
    with StopSignals():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
