"""Which frauds count as found, and which events as false."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.fraud import main
from benchmarks.fraud_baselines import Alarm, baseline
from benchmarks.fraud_measures import CASES, incidents, judge
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.timeseries.frame import Frame, Group, Series

START = pd.Timestamp("2024-01-01", tz="UTC")
STEP = pd.Timedelta("12h")
CARDS, TERMINALS = CASES["cards"], CASES["terminals"]


def day(number: float) -> pd.Timestamp:
    return START + pd.Timedelta(days=number)


def payments(rows: Sequence[tuple[float, int, int, int]]) -> pd.DataFrame:
    """Labelled payments from (day, card, terminal, scenario)."""
    seconds = int(START.timestamp())
    return pd.DataFrame(
        {
            "t": [seconds + round(d * 86_400) for d, *_ in rows],
            "customer_id": [card for _, card, _, _ in rows],
            "terminal_id": [terminal for _, _, terminal, _ in rows],
            "fraud": [int(scenario > 0) for *_, scenario in rows],
            "scenario": [scenario for *_, scenario in rows],
        }
    )


def alarm(group: int, at: float, until: float | None = None) -> Alarm:
    return Alarm(str(group), day(at), day(at), day(at if until is None else until))


COMPROMISED = payments([(10.2, 7, 1, 3), (12.0, 7, 1, 3), (15.0, 7, 1, 3), (11.0, 8, 1, 0), (20.0, 9, 2, 1)])


def judged(alarms: list[Alarm], watched: tuple[float, float] = (7, 35)) -> dict[str, float]:
    return judge(CARDS, COMPROMISED, alarms, STEP, (day(watched[0]), day(watched[1])))


def test_an_incident_is_a_run_of_frauds() -> None:
    """Of one group and scenario, no two weeks apart; other scenarios make none."""
    found = incidents(CARDS, pd.concat([COMPROMISED, payments([(40.0, 7, 1, 3)])]))
    assert found["group"].tolist() == ["7", "7"]
    assert ((found["first"] - int(START.timestamp())) / 86_400).tolist() == pytest.approx([10.2, 40.0])
    assert (found["due"] == found["first"]).all()


def test_a_terminal_is_due_at_its_third_report() -> None:
    """Reports arrive a week after the payments; with two of them no one can know."""
    found = incidents(TERMINALS, payments([(d, 1, 5, 2) for d in (1, 2, 4, 5)] + [(d, 1, 6, 2) for d in (1, 2)]))
    assert ((found["due"] - int(START.timestamp())) / 86_400).tolist() == pytest.approx([11.0, np.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("at", "found"), [(9.5, 0), (10.0, 1), (12.5, 1), (13.0, 0)], ids=["before", "its row", "day 3", "too late"]
)
def test_found_means_known_within_three_days(at: float, found: int) -> None:
    """An event counts from when its row is over: after the first fraud, and three days after it at the latest."""
    assert judged([alarm(7, at)])["found"] == found


def test_another_card_finds_nothing() -> None:
    """An event of another card is not this one's, and with no fraud of its own it is false."""
    result = judged([alarm(8, 10.0)])
    assert (result["found"], result["false_per_week"]) == (0, 0.25)


@pytest.mark.parametrize(
    ("event", "false"),
    [
        (alarm(7, 12.0), 0),  # during the incident
        (alarm(7, 24.0), 0),  # soon after it
        (alarm(7, 26.0), 1),
        (alarm(7, 5.0, 10.0), 0),  # begins before it and lasts into it
        (alarm(7, 5.0, 9.0), 1),
        (alarm(9, 20.0), 0),  # a fraud of another kind is fraud
        (alarm(9, 19.0), 1),
    ],
)
def test_false_events_have_nothing_to_do_with_fraud(event: Alarm, false: int) -> None:
    """Only what lies apart from every incident and every fraudulent payment of the group is false."""
    assert judged([event])["false_per_week"] == false / 4


def test_incidents_that_cannot_be_judged_do_not_count() -> None:
    """Due before the watched time, or too near its end for three days to pass: neither found nor missed."""
    assert judged([], (11, 35))["incidents"] == judged([], (7, 12))["incidents"] == 0
    assert judged([])["incidents"] == 1


def test_baseline_finds_what_stands_out() -> None:
    """The simple score has thresholds of its own from the history, and finds a large excursion in the rest."""
    rng = np.random.default_rng(0)
    frames: dict[Group, Frame] = {}
    for card in range(100):
        values = rng.normal(50, 10, (100, 1))
        if card == 3:
            values[80] = 500
        frames[(("customer", str(card)),)] = Frame(START, STEP, values, (Series("largest"),))
    monitor = MonitorConfig.model_validate(
        {"reader": "r", "scheduler": "s", "step": "12h", "queries": {"q": "max(amount)"}, "alarms_per_week": 2}
    )
    alarms = baseline("deviation", frames, day(28), monitor)
    assert ("3", day(40)) in [(one.group, one.confirmed) for one in alarms]
    assert len(alarms) < 15


def test_wrong_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder without payments ends with status 2 and says so."""
    assert main(["--data", str(tmp_path), "--out", str(tmp_path / "out.json")]) == 2
    assert str(tmp_path) in capsys.readouterr().err
