"""Writes scores by Prometheus remote write 1.0: to Prometheus, Mimir, Thanos, VictoriaMetrics and many others.

Protocol: https://prometheus.io/docs/specs/prw/remote_write_spec/. Prometheus itself takes it where it runs with
``--web.enable-remote-write-receiver``.
"""

from __future__ import annotations

from typing import ClassVar

from tsdiff_connectors.prometheus.remote_write_proto import write_request
from tsdiff_connectors.queue.samples import Samples
from tsdiff_connectors.queue.writer import QueuedWriter, WriterOptions
from tsdiff_monitor.http.address import ServerUrl
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.plugins import Context

__all__ = ["RemoteWriter"]

_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}


class RemoteWriter(QueuedWriter):
    """A writer to any receiver of remote write."""

    packages: ClassVar[tuple[str, ...]] = ("cramjam",)

    class Config(WriterOptions):
        """Prometheus remote write."""

        url: ServerUrl
        """The address to write to, with its path, like `http://localhost:9090/api/v1/write`; masked, because it may
        carry credentials."""

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, _Target(HttpClient(config.url, config, context)))


class _Target:
    def __init__(self, client: HttpClient) -> None:
        self._client = client

    def send(self, samples: Samples, *, retry: bool) -> None:
        import cramjam

        body = bytes(cramjam.snappy.compress_raw(write_request(samples)))
        self._client.send("POST", "", content=body, headers=_HEADERS, retry=retry, what="remote write")

    def close(self) -> None:
        self._client.close()
