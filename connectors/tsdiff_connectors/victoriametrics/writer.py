"""Writes scores into VictoriaMetrics by its own import, as lines of JSON.

API: https://docs.victoriametrics.com/victoriametrics/#how-to-import-data-in-json-line-format. It answers 204
to any lines, and cuts off what is too long; so what it would not keep as it is is found here.
"""

from __future__ import annotations

from functools import lru_cache

import orjson
from pydantic import Field

from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_connectors.queue.writer import QueuedWriter, WriterOptions
from tsdiff_monitor.http.address import ServerUrl
from tsdiff_monitor.http.client import HttpClient, HttpFailure
from tsdiff_monitor.plugins import Context

__all__ = ["VictoriaWriter"]

_PATH = "/api/v1/import"


class VictoriaWriter(QueuedWriter):
    """A writer to a single VictoriaMetrics or a cluster's ``vminsert``."""

    class Config(WriterOptions):
        """VictoriaMetrics."""

        url: ServerUrl
        """Address of the server, like `http://localhost:8428`, of a cluster like `http://vminsert:8480/insert/0/prometheus`;
        masked, because it may carry credentials."""
        max_labels: int = Field(default=30, ge=1)
        """Most labels of a series, the metric's name among them; the server (`-maxLabelsPerTimeseries`) leaves out more
        without a word, so such series are refused."""
        max_label_value_bytes: int = Field(default=4096, ge=1)
        """Longest value of a label; the server (`-maxLabelValueLen`) cuts longer ones off, so such series are
        refused."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, _Target(HttpClient(config.url, config, context), config))


class _Target:
    def __init__(self, client: HttpClient, config: VictoriaWriter.Config) -> None:
        self._client = client
        self._config = config

    def send(self, samples: Samples, *, retry: bool) -> None:
        for labels in samples.labels:
            if problem := _problem(labels, self._config.max_labels, self._config.max_label_value_bytes):
                raise HttpFailure(problem, reason="client_error", status=400)
        body = b"\n".join(
            orjson.dumps(
                {"metric": dict(labels), "values": values, "timestamps": times}, option=orjson.OPT_SERIALIZE_NUMPY
            )
            for labels, times, values in samples
        )
        headers = {"Content-Type": "application/x-ndjson"}
        self._client.send("POST", _PATH, content=body, headers=headers, retry=retry, what="import")

    def close(self) -> None:
        self._client.close()


@lru_cache(maxsize=1 << 17)
def _problem(labels: Labels, max_labels: int, max_value_bytes: int) -> str:
    """Why the server would not keep a series as it is; empty when it would."""
    if len(labels) > max_labels:
        return f"it has {len(labels)} labels, more than `max_labels`"
    for name, value in labels:
        if len(value.encode()) > max_value_bytes:
            return f"the value of its label {name} is longer than `max_label_value_bytes`"
    return ""
