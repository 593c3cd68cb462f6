"""Answers of the query API are read as the JSON they are, with any content, and nothing else passes for one."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdiff_connectors.prometheus.answers import AnswerError, parse_answer, server_message


def body(*series: dict[str, Any], **more: Any) -> bytes:
    """The answer that brings these series, as Prometheus writes it."""
    answer = {"status": "success", "data": {"resultType": "matrix", "result": list(series)}, **more}
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def series(*values: tuple[float, str], **labels: str) -> dict[str, Any]:
    """One series of an answer."""
    return {"metric": labels, "values": [list(pair) for pair in values]}


def refusal(content: bytes) -> AnswerError:
    """The error that this body gives."""
    with pytest.raises(AnswerError) as caught:
        parse_answer(content)
    return caught.value


def test_samples_are_read_in_order() -> None:
    """Times in milliseconds, values as numbers, each series with its labels."""
    found = parse_answer(body(series((1714532400, "0.5"), (1714532460.25, "-1e-7"), a="x"), series((1, "3"), a="y")))
    assert found.labels == [{"a": "x"}, {"a": "y"}]
    assert found.lengths.tolist() == [2, 1]
    assert found.times.tolist() == [1714532400000, 1714532460250, 1000]
    assert found.values.tolist() == [0.5, -1e-7, 3.0]
    assert (found.warnings, found.infos, found.partial, found.histograms) == ((), (), False, 0)


def test_what_is_no_number_is_missing() -> None:
    """NaN and both infinities, as Prometheus spells them."""
    found = parse_answer(body(series((1, "NaN"), (2, "+Inf"), (3, "-Inf"), (4, "7"))))
    assert np.isnan(found.values[:3]).all()
    assert found.values[3] == 7
    assert found.times.tolist() == [1000, 2000, 3000, 4000]


def test_nothing_found_is_no_error() -> None:
    """An answer without series, in both spellings."""
    assert parse_answer(body()).labels == []
    assert len(parse_answer(b'{"status":"success","data":{"resultType":"matrix","result":null}}').times) == 0


def test_remarks_are_kept() -> None:
    """Warnings and infos each once; VictoriaMetrics says in a field of its own that an answer is partial."""
    found = parse_answer(body(warnings=["a", "b", "a"], infos=["c"], isPartial=True))
    assert (found.warnings, found.infos, found.partial) == (("a", "b"), ("c",), True)
    assert not parse_answer(body(isPartial=False)).partial


def test_histograms_are_counted_and_left_out() -> None:
    """Series of native histograms have no values to read."""
    found = parse_answer(body({"metric": {"a": "x"}, "histograms": [[1, {"count": "3"}]]}, series((1, "2"), a="y")))
    assert found.histograms == 1
    assert found.labels == [{"a": "y"}]


_text = st.one_of(st.text(max_size=10), st.sampled_from(['"values":[[', "]]", '"', "\\", "NaN", "],["]))
_value = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr), st.sampled_from(["NaN", "+Inf", "-Inf", "1e+21", "-0"])
)
_samples = st.lists(st.tuples(st.integers(0, 2**40), _value), min_size=1, max_size=5)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.dictionaries(_text, _text, max_size=3), _samples), max_size=4),
    st.lists(_text, max_size=2),
    st.booleans(),
)
def test_any_answer_is_read_as_json(
    given_series: list[tuple[dict[str, str], list[tuple[int, str]]]], warnings: list[str], spaced: bool
) -> None:
    """With any labels and warnings, with white space or without: the same as an ordinary reader finds."""
    content = body(*({"metric": labels, "values": values} for labels, values in given_series), warnings=warnings)
    if spaced:
        content = json.dumps(json.loads(content), indent=1).encode()
    found = parse_answer(content)
    assert found.labels == [labels for labels, _ in given_series]
    assert found.warnings == tuple(dict.fromkeys(warnings))
    samples = [(ms, float(value)) for _, values in given_series for ms, value in values]
    assert (found.times // 1000).tolist() == [ms for ms, _ in samples]
    expected = [value if math.isfinite(value) else math.nan for _, value in samples]
    np.testing.assert_array_equal(found.values, expected)
    assert found.lengths.tolist() == [len(values) for _, values in given_series]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"404 page not found",
        b"<html>Sign in</html>",
        b"[]",
        b"null",
        b"{}",
        b'{"status":"success"}',
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":[7]}}',
        body(series((1, "2"), a="x"))[:-4],
        body(series((1, "2"), a="x"))[:-8],
        body({"metric": {"a": 7}, "values": [[1, "2"]]}),
        body({"metric": ["a"], "values": [[1, "2"]]}),
        body({"metric": {}, "values": [["1"]]}),
        body({"metric": {}, "values": [[1, "two"]]}),
        body({"metric": {}, "values": [["NaN", "2"]]}),
        body({"values": [[1, "2"]]}),
        body(series((1, "2")), data={"values": [[1, "2"]], "resultType": "matrix", "result": []}),
        body(series((1, "2"))).replace(b'"2"', b'"\xff"'),
    ],
    ids=lambda content: content.decode(errors="replace")[-40:],
)
def test_garbage_is_no_answer(content: bytes) -> None:
    """Pages, cut bodies, other shapes and values that are none: one error that says so."""
    error = refusal(content)
    assert error.reason == "garbled"
    assert len(str(error)) < 600


def test_an_error_with_a_good_status_is_an_error() -> None:
    """Proxies may turn a refusal's status into 200."""
    error = refusal(b'{"status":"error","errorType":"bad_data","error":"parse error"}')
    assert (error.reason, str(error)) == ("bad_query", "bad_data: parse error")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('{"status":"error","errorType":"execution","error":"many-to-many"}', "execution: many-to-many"),
        ('{"status":"error","errorType":"422","error":"cannot parse"}', "cannot parse"),
        ('{"status":"error","errorType":422,"error":"cannot parse"}', "cannot parse"),
        ('{"status":"error"}', ""),
        ("404 page\nnot found", "404 page not found"),
        ("[1]", "[1]"),
        ("", ""),
        ("x" * 700, "x" * 500 + " ..."),
    ],
)
def test_a_servers_own_words(said: str, shown: str) -> None:
    """Prometheus' JSON, VictoriaMetrics' with its numeric kind, plain text, all in one line of bounded length."""
    assert server_message(said) == shown
