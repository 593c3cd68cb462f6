"""The stranger's own tests: the plug-in is found by its type, and keeps the promises of every reader."""

from __future__ import annotations

import pandas as pd
import pytest

from tsdiff_monitor.errors import ConfigError
from tsdiff_monitor.plugins import Context, Query, Reader, ReadRequest, load_plugin, plugin_types
from tsdiff_monitor.testing import ReaderConformance


class TestCounter(ReaderConformance):
    def make(self) -> Reader:
        counter = load_plugin("readers", "acme_counter")
        return counter(counter.Config(room="cellar"), Context())

    def request(self) -> ReadRequest:
        start = pd.Timestamp("2024-05-01T03:00:00Z")
        queries = (Query("fast", "7"), Query("slow", "100"))
        return ReadRequest(queries, start, start + pd.Timedelta("1min"), pd.Timedelta("5s"), ("room",))

    def broken(self) -> Reader:
        counter = load_plugin("readers", "acme_counter")
        return counter(counter.Config(running=False), Context())


def test_it_stands_beside_the_built_in_ones() -> None:
    assert {"acme_counter", "files"} <= set(plugin_types("readers"))


def test_a_plugin_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'acme_broken' \(acme_counter\.missing:Reader\) cannot be loaded"):
        load_plugin("readers", "acme_broken")


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"no reader of type 'acme'.*acme_counter, .*files"):
        load_plugin("readers", "acme")
