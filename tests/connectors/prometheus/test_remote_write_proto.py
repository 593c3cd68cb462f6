"""Encoded samples are read by the protobuf library as what they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st

from tsdiff_connectors.prometheus.remote_write_proto import write_request
from tsdiff_connectors.queue.samples import Labels, Samples

Field = descriptor_pb2.FieldDescriptorProto


def messages() -> Any:
    """The class of ``WriteRequest``, from the descriptors of Prometheus' ``prompb/types.proto``."""
    file = descriptor_pb2.FileDescriptorProto(name="write.proto", package="write", syntax="proto3")

    def message(name: str, /, **fields: tuple[int, int, str]) -> None:
        made = file.message_type.add(name=name)
        for field, (number, kind, of) in fields.items():
            many = kind == Field.TYPE_MESSAGE
            label = Field.LABEL_REPEATED if many else Field.LABEL_OPTIONAL
            made.field.add(name=field, number=number, type=kind, label=label, type_name=of or None)

    message("Label", name=(1, Field.TYPE_STRING, ""), value=(2, Field.TYPE_STRING, ""))
    message("Sample", value=(1, Field.TYPE_DOUBLE, ""), timestamp=(2, Field.TYPE_INT64, ""))
    message(
        "TimeSeries", labels=(1, Field.TYPE_MESSAGE, ".write.Label"), samples=(2, Field.TYPE_MESSAGE, ".write.Sample")
    )
    message("WriteRequest", timeseries=(1, Field.TYPE_MESSAGE, ".write.TimeSeries"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("write.WriteRequest"))


WriteRequest = messages()


def decoded(body: bytes) -> list[tuple[Labels, list[tuple[int, float]]]]:
    """A request as the protobuf library reads it."""
    return [
        (
            tuple((label.name, label.value) for label in series.labels),
            [(sample.timestamp, sample.value) for sample in series.samples],
        )
        for series in WriteRequest.FromString(body).timeseries
    ]


def plain(samples: Samples) -> list[tuple[Labels, list[tuple[int, float]]]]:
    """The same of what was to be encoded."""
    return [(labels, list(zip(times.tolist(), values.tolist(), strict=True))) for labels, times, values in samples]


names = st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), min_size=1, max_size=4).map(tuple)
times = st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2**42)
values = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(st.tuples(names, st.lists(st.tuples(times, values), min_size=1, max_size=5)), max_size=5))
def test_any_request_is_read_back(series: list[tuple[Labels, list[tuple[int, float]]]]) -> None:
    """Labels, times of any century and values arrive as they are."""
    points = [point for _, points in series for point in points]
    samples = Samples(
        tuple(labels for labels, _ in series),
        np.cumsum([len(points) for _, points in series], dtype=np.int64),
        np.array([time for time, _ in points], np.int64),
        np.array([value for _, value in points], float),
    )
    assert decoded(write_request(samples)) == plain(samples)


@pytest.mark.parametrize("samples_each", [1, 300])
def test_it_is_what_the_library_would_write(samples_each: int) -> None:
    """For times of this century the bytes are those of the protobuf library, byte by byte."""
    labels: list[Labels] = [(("__name__", "y"), ("for", f"metric {number}" * number)) for number in range(1, 30)]
    at = 1_714_521_600_000 + 60_000 * np.arange(samples_each)
    samples = Samples.of(labels, at, np.random.default_rng(0).normal(size=(len(labels), samples_each)))
    request = WriteRequest()
    for name, points in plain(samples):
        series = request.timeseries.add()
        for key, value in name:
            series.labels.add(name=key, value=value)
        for time, number in points:
            series.samples.add(value=number, timestamp=time)
    assert write_request(samples) == request.SerializeToString()


def test_an_empty_request_is_empty() -> None:
    """No samples, no bytes."""
    assert write_request(Samples.join([])) == b""
