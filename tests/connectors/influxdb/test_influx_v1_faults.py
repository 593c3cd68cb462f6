"""InfluxDB 1 where something is missing, wrong or broken: a clear error, or an absence, and never a wrong number."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import pytest

from tests.connectors.influxdb.influx_one import (
    HOUR,
    START,
    Load,
    closing_readers,
    load,
    reader,
    request,
    two_hosts,
)
from tests.servers.faults import FaultProxy
from tsdiff_monitor.errors import SourceError
from tsdiff_monitor.plugins import Query

__all__ = ["closing_readers", "load", "two_hosts"]  # fixtures


def test_text_is_left_out_with_a_warning(load: Load, influx1_server: str) -> None:
    """A text field beside numbers is named in a warning; a query that brings nothing else is an error."""
    lines = [f'm f={i},note="n{i}" {(START + 60 * i) * 10**9}' for i in range(4)]
    source = reader(influx1_server, load(*lines))
    reading = source.read(request(Query("q", "SELECT * FROM m WHERE $timeFilter")))
    assert "text in note was left out" in reading.warnings[0]
    assert reading.frames[()].names == ('q{_field="f"}',)
    with pytest.raises(SourceError, match="note holds text") as caught:
        source.read(request(Query("q", "SELECT note FROM m WHERE $timeFilter")))
    assert caught.value.reason == "bad_request"


def test_an_aggregate_of_text_is_refused_with_a_remedy(load: Load, influx1_server: str) -> None:
    """The server's error within a 200 is reported, with the query's name and what to write instead."""
    with pytest.raises(SourceError, match=r"unsupported mean.*its `last` value") as caught:
        reader(influx1_server, load(f'm note="a" {START}000000000')).read(request(Query("q", "m.note")))
    assert (caught.value.reason, caught.value.recoverable) == ("query_error", False)


def test_what_is_not_there_is_absent(two_hosts: str, influx1_server: str) -> None:
    """An unknown measurement or field, and a span without data, are no error and no series."""
    source = reader(influx1_server, two_hosts)
    for expr in ("memory.used", "cpu.nope", 'cpu.idle{host="z"}', "SELECT x FROM memory WHERE $timeFilter"):
        assert source.read(request(Query("q", expr))).frames == {}
    assert source.read(request(Query("q", "cpu.idle"), start=HOUR + pd.Timedelta("90D"))).frames == {}


def test_an_unknown_database_is_an_error(influx1_server: str) -> None:
    """It is no outage but a wrong configuration, and the message says so."""
    with pytest.raises(SourceError, match="database not found: nowhere; check `database`") as caught:
        reader(influx1_server, "nowhere").read(request(Query("q", "cpu.idle")))
    assert (caught.value.reason, caught.value.recoverable) == ("not_found", False)


def test_an_unknown_retention_policy_is_an_error(two_hosts: str, influx1_server: str) -> None:
    """As an unknown database is."""
    source = reader(influx1_server, two_hosts, retention_policy="weekly")
    with pytest.raises(SourceError, match="retention policy not found: weekly") as caught:
        source.read(request(Query("q", "cpu.idle")))
    assert caught.value.reason == "not_found"


def test_the_server_says_what_is_wrong_with_a_query(two_hosts: str, influx1_server: str) -> None:
    """A query that cannot be parsed brings the server's own words and the query's name."""
    with pytest.raises(SourceError, match=r"the query 'load': .*error parsing query: found FORM") as caught:
        reader(influx1_server, two_hosts).read(request(Query("load", "SELECT x FORM y WHERE $timeFilter")))
    assert caught.value.reason == "client_error"


def test_values_that_nothing_distinguishes_are_an_error(two_hosts: str, influx1_server: str) -> None:
    """Two hosts mixed into one series would be nonsense: said, with the remedy."""
    with pytest.raises(SourceError, match=r"two values of 'q.*keep the tags") as caught:
        reader(influx1_server, two_hosts).read(request(Query("q", "SELECT idle FROM cpu WHERE $timeFilter")))
    assert caught.value.reason == "duplicate"


@pytest.mark.parametrize("how", [{"cut_after": 900}, {"reset_after": 900}])
def test_a_server_that_dies_mid_answer_is_no_verdict(
    two_hosts: str, influx1_server: str, fault_proxy: Callable[[str], FaultProxy], how: dict[str, int]
) -> None:
    """Half an answer is an error, not half the rows."""
    proxy = fault_proxy(influx1_server)
    source = reader(proxy.url, two_hosts, retries=0)
    proxy.fault(**how)
    with pytest.raises(SourceError) as caught:
        source.read(request(Query("q", "SELECT idle FROM cpu WHERE $timeFilter GROUP BY *"), rows=60))
    assert caught.value.reason in ("connect", "garbled")
    proxy.heal()
    assert source.read(request(Query("q", "cpu.idle"))).frames


def test_an_answer_that_is_too_large_is_cut_off(two_hosts: str, influx1_server: str) -> None:
    """`max_response_bytes` bounds what is read, and the error names it."""
    source = reader(influx1_server, two_hosts, max_response_bytes=1000)
    with pytest.raises(SourceError, match="max_response_bytes") as caught:
        source.read(request(Query("q", "SELECT idle FROM cpu WHERE $timeFilter GROUP BY *"), rows=60))
    assert caught.value.reason == "too_large"
