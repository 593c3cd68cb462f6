"""The picture is drawn from any snapshot, looks like what it should, and needs nothing global."""

from __future__ import annotations

import io
import threading

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from tsdiff_alerts.message.picture import draw
from tsdiff_monitor.events.details import Course, Details, Snapshot, Values
from tsdiff_monitor.events.event import Change, Culprit
from tsdiff_monitor.testing import example_change, example_details

START = pd.Timestamp("2024-05-01T02:33:00Z")


def details(score: Values, *courses: Course) -> Details:
    """Details with rows of a minute from 02:33 on."""
    return Details(Snapshot(START, pd.Timedelta("1min"), score, courses))


def pixels(png: bytes | None) -> np.ndarray:
    """The picture as ``[height, width, 3]`` in 0..255."""
    assert png is not None
    return np.round(imread(io.BytesIO(png))[..., :3] * 255).astype(int)


def test_without_a_snapshot() -> None:
    """There is nothing to draw, and that is no error."""
    assert draw(example_change()) is None
    assert draw(example_change(details=details(()))) is None


def test_a_phones_width() -> None:
    """960 pixels wide on white, a panel for each culprit and one for the score, and small enough to send."""
    png = draw(example_change(details=example_details()))
    image = pixels(png)
    assert image.shape[1] == 960 and 700 < image.shape[0] < 1100
    assert (image[0] == 255).all() and (image[:, 0] == 255).all() and (image[:, -1] == 255).all()
    assert len(png or b"") < 150_000


def test_the_event_is_where_it_is() -> None:
    """The rows from the event's start on are tinted, those before are not."""
    image = pixels(draw(example_change(details=example_details())))
    reddish = (image[..., 0] > 230) & (image[..., 0] - image[..., 1] > 8) & (image[..., 1] > 200)
    (columns,) = np.nonzero(reddish.sum(axis=0) > 100)
    inner = (960 - 200 * (0.62 + 0.24)) / 40  # pixels of a row: forty minutes between the margins
    assert columns.min() == pytest.approx(200 * 0.62 + 32 * inner, abs=3)
    assert columns.max() == pytest.approx(960 - 200 * 0.24, abs=3)


def test_more_culprits_than_have_room() -> None:
    """Three are drawn, the largest first; the rest is in the message's count."""
    row: Values = (1.0, 2.0, 3.0)
    courses = [Course(f"m{i}", row, row, row, row) for i in range(6)]
    three, six = (draw(example_change(details=details(row, *courses[:count]))) for count in (3, 6))
    assert three == six


NAN: Values = (None, None, None, None)
UNUSUAL = [
    details((None,) * 4, Course("nothing", NAN, NAN, NAN, NAN)),
    details((1.0,), Course("a row", (1.0,), (1.0,), (1.0,), (1.0,))),
    details((0.0, 1e9, float("inf"), 2.0), Course("huge", (1e308, -1e308, 3e38, 0.0), NAN, NAN, NAN)),
    details((0.1,) * 4, Course("flat", (1e-30,) * 4, (0.0,) * 4, (0.0,) * 4, (0.0,) * 4)),
    details((0.1,) * 4, Course("alone", (None, 5.0, None, 7.0), NAN, (1.0, None, 2.0, 3.0), NAN)),
    details((0.1,) * 4, Course("near", (1e12, 1e12 + 1, 1e12, 1e12), NAN, NAN, NAN)),
    details((0.5,) * 5000, Course("long", (1.0,) * 5000, (None,) * 5000, (0.0,) * 5000, (2.0,) * 5000)),
    details((2.0,) * 4),
]


@pytest.mark.parametrize("unusual", UNUSUAL)
@pytest.mark.parametrize("change", [Change.opened, Change.resolved])
def test_unusual_data(unusual: Details, change: Change) -> None:
    """Gaps, single rows, absurd and equal values, thousands of rows, no culprit: a picture each, and no warning."""
    assert pixels(draw(example_change(change, details=unusual))).shape[1] == 960


@pytest.mark.parametrize("name", ["$x^2$ \\frac{", "Ω ≈ 電力 💩", "a\nb\x1b[31m", "x" * 5000, ""])
def test_unusual_names(name: str) -> None:
    """Names are text, never mathematics; signs that the font lacks become question marks."""
    row: Values = (1.0, 2.0, 3.0)
    culprits = (Culprit(name, 1.0, 1e30, None, -1e30, 0.0),)
    unusual = details(row, Course(name, row, row, row, row))
    assert draw(example_change(details=unusual, culprits=culprits, group=(("label", name),))) is not None


def test_the_same_from_several_threads() -> None:
    """Notifiers draw at the same time; each gets its own picture, the same as alone."""
    change = example_change(details=example_details())
    alone, found = draw(change), list[bytes | None]()
    threads = [threading.Thread(target=lambda: found.append(draw(change))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4
