"""Optional abilities of plug-ins are found by what a class has, not by what it derives from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tsdiff_monitor import plugins
from tsdiff_monitor.plugins import Paced, Receipt, ReceiptKeeper, close_plugin, pace_of, receipt_keeper
from tsdiff_monitor.plugins.contracts import EventChange
from tsdiff_monitor.testing import MemoryNotifier, example_change

DOCS = Path(__file__).parents[2] / "docs"


class OfTheClass:
    """A stranger's notifier, with class attributes."""

    keeps_receipts = True
    pace = 2

    def __init__(self) -> None:
        self.closed = 0

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        return {"was": "" if receipt is None else receipt["was"], "key": change.key}

    def close(self) -> None:
        self.closed += 1


class OfTheObject(OfTheClass):
    """The same, which the configuration decides on."""

    def __init__(self, keeps_receipts: bool, pace: float) -> None:
        super().__init__()
        self.keeps_receipts = keeps_receipts
        self.pace = pace  # type: ignore[assignment]


def test_attributes_of_the_class_are_enough() -> None:
    """A class that derives from nothing of ours is paced and keeps receipts."""
    made = OfTheClass()
    assert isinstance(made, Paced) and isinstance(made, ReceiptKeeper)
    assert pace_of(made) == 2.0 and isinstance(pace_of(made), float)
    keeper = receipt_keeper(made)
    assert keeper is made
    assert keeper.notify(example_change(), {"was": "7"}) == {"was": "7", "key": example_change().key}


@pytest.mark.parametrize(("keeps", "pace"), [(True, 0.5), (False, 0.0)])
def test_the_object_may_decide(keeps: bool, pace: float) -> None:
    """An attribute set by the constructor counts, also where it says no."""
    made = OfTheObject(keeps, pace)
    assert (receipt_keeper(made) is made) is keeps
    assert pace_of(made) == pace


def test_a_plain_notifier_has_none_of_them() -> None:
    """Without the attributes there are no receipts and no pace, and closing does nothing."""
    plain = MemoryNotifier()
    assert receipt_keeper(plain) is None
    assert pace_of(plain) == 0.0
    assert close_plugin(object()) is None


def test_what_can_be_closed_is_closed() -> None:
    """A plug-in with `close` is closed once."""
    made = OfTheClass()
    close_plugin(made)
    assert made.closed == 1


def test_every_ability_is_documented() -> None:
    """The table of optional abilities names each protocol whose docstring calls it optional, and no other."""
    optional = {
        name
        for name in plugins.__all__
        if (getattr(plugins, name).__doc__ or "").startswith("Optional") and name[0].isupper()
    }
    text = (DOCS / "plugins.md").read_text(encoding="utf-8").split("## Optional abilities\n")[1].split("\n## ")[0]
    assert {"Paced", "ReceiptKeeper", "Closable"} <= optional
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == optional
