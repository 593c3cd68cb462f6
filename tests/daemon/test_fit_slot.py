"""Fits take turns."""

from __future__ import annotations

import threading

import pandas as pd
import pytest

from tsdiff_monitor.daemon.fit_slot import FitSlot, FitStopped, FitTurn
from tsdiff_monitor.plugins import Query, Reading, ReadRequest
from tsdiff_monitor.testing import FakeClock

NOW = pd.Timestamp("2024-05-01T00:00:00Z")
REQUEST = ReadRequest((Query("all", "*"),), NOW, NOW, pd.Timedelta("1min"))
WEB, DB = (("service", "web"),), (("service", "db"),)


class BlockedReader:
    """Answers only once it is released."""

    def __init__(self) -> None:
        self.reading = threading.Event()
        self.released = threading.Event()

    def read(self, request: ReadRequest) -> Reading:
        self.reading.set()
        assert self.released.wait(10)
        return Reading({})


def test_a_source_that_hangs_does_not_hold_the_slot() -> None:
    """While one fit waits for its history, another one computes."""
    slot, reader = FitSlot(), BlockedReader()

    def fit() -> None:
        with FitTurn(slot, reader) as turn:
            turn.read(REQUEST)

    hanging = threading.Thread(target=fit)
    hanging.start()
    assert reader.reading.wait(10)
    with FitTurn(slot, reader) as other:
        other.progress(WEB, 1, 20)
        other.progress(WEB, 2, 20)
    reader.released.set()
    hanging.join(10)
    assert not hanging.is_alive()


def test_a_fit_of_many_groups_lets_others_go_first() -> None:
    """Between two groups the slot goes to the fit that waits longest, so that no monitor waits for a whole fleet."""
    slot, order = FitSlot(), []
    queued = threading.Event()

    class Announcing(FitTurn):
        def __enter__(self) -> FitTurn:
            queued.set()
            return super().__enter__()

    def small() -> None:
        with Announcing(slot, BlockedReader()):
            order.append("small")

    with FitTurn(slot, BlockedReader()) as turn:
        turn.progress(WEB, 1, 20)
        thread = threading.Thread(target=small)
        thread.start()
        assert queued.wait(10)
        while not slot.contended:
            pass
        order.append("first group")
        turn.progress(DB, 1, 20)
        order.append("second group")
    thread.join(10)
    assert order == ["first group", "small", "second group"]


def test_waiting_does_not_use_up_the_budget() -> None:
    """The clock of a fit stands still while the fit reads or waits for another one's group."""
    timer = FakeClock(100.0)

    class SlowSlot(FitSlot):
        contended = True

        def acquire(self, turn: FitTurn) -> None:
            timer.advance(50)
            super().acquire(turn)

    with FitTurn(SlowSlot(), BlockedReader(), timer) as turn:
        began = turn.clock()
        turn.progress(WEB, 1, 20)
        turn.progress(DB, 1, 20)
        timer.advance(3)
        assert turn.clock() - began == pytest.approx(3)


def test_stopping_ends_a_fit_at_its_next_step() -> None:
    """After ``close`` the running fit gives up at its next step, and a new one does not begin."""
    slot = FitSlot()
    with FitTurn(slot, BlockedReader()) as turn:
        turn.progress(WEB, 1, 20)
        slot.close()
        with pytest.raises(FitStopped):
            turn.progress(WEB, 2, 20)
    with pytest.raises(FitStopped), FitTurn(slot, BlockedReader()):
        pass
