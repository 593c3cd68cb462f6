"""The plan of a tick: pure arithmetic of times."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pandas as pd
import pytest

from tests.pipeline.stubs import host
from tsdiff_monitor.config.monitors import MonitorConfig
from tsdiff_monitor.config.schedulers import SchedulerConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig
from tsdiff_monitor.pipeline.monitor import Monitor
from tsdiff_monitor.pipeline.plan import plan_tick

NOW = pd.Timestamp("2026-03-01T12:00:30Z")
END = pd.Timestamp("2026-03-01T12:00:00Z")
MINUTE = pd.Timedelta(minutes=1)


@pytest.fixture
def monitor() -> Monitor:
    raw = {"reader": "r", "scheduler": "s", "step": "1m", "queries": {"cpu": {"expr": "x", "unit": "%"}}}
    rhythm = SchedulerConfig(infer_every=timedelta(minutes=5), offset=timedelta(seconds=30))
    return Monitor("hosts", MonitorConfig.model_validate(raw), DiffusionModelConfig(), rhythm)


def test_a_new_monitor_begins_one_interval_ago(monitor: Monitor) -> None:
    """Rows of the last ``infer_every``, after the context that a model needs, none newer than the offset allows."""
    plan = plan_tick(monitor, {}, NOW, context_rows=64)
    assert plan is not None
    assert (plan.start, plan.end, plan.context) == (END - 5 * MINUTE, END, 64 * MINUTE)
    assert plan.first(host(0)) == plan.start


def test_a_group_goes_on_where_it_stopped(monitor: Monitor) -> None:
    """Missed rows are caught up; a group left far behind does not make the others read back to it."""
    last = {host(0): END - 3 * MINUTE, host(1): END - 30 * MINUTE, host(2): END - 600 * MINUTE}
    plan = plan_tick(monitor, last, NOW, context_rows=64)
    assert plan is not None
    assert plan.start == END - 29 * MINUTE
    assert [plan.first(host(n)) for n in range(3)] == [END - n * MINUTE for n in (2, 29, 599)]


def test_catching_up_is_bounded(monitor: Monitor) -> None:
    """Rows older than ``max_catchup`` are given up."""
    plan = plan_tick(monitor, {host(0): END - pd.Timedelta(days=9)}, NOW, context_rows=64)
    assert plan is not None
    assert plan.first(host(0)) == END - pd.Timedelta(days=1)


def test_nothing_is_due_twice(monitor: Monitor) -> None:
    """Nothing is read where the newest row of every group is scored."""
    assert plan_tick(monitor, {host(0): END - MINUTE}, NOW, context_rows=64, since=END) is None


def test_a_monitor_is_plain_data(monitor: Monitor) -> None:
    """It can be sent to another process, and is then equal."""
    assert pickle.loads(pickle.dumps(monitor)) == monitor
