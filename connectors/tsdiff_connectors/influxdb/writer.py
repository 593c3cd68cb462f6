"""Writes scores into InfluxDB 1, 2 and 3 as line protocol.

A series becomes what InfluxDB makes of a Prometheus series: its name is the measurement, its labels are the tags, the
sample is the field ``value``. Line protocol: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/;
addresses: https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint,
https://docs.influxdata.com/influxdb/v2/api/#operation/PostWrite,
https://docs.influxdata.com/influxdb3/core/api/v3/#operation/PostWriteLP. Where some lines are refused the answer is
400, although the others were stored.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from tsdiff_connectors.influxdb.token import with_token
from tsdiff_connectors.queue.samples import Labels, Samples
from tsdiff_connectors.queue.writer import QueuedWriter, WriterOptions
from tsdiff_monitor.http.address import Address, ServerUrl
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.http.options import HttpOptions
from tsdiff_monitor.plugins import Context

__all__ = ["InfluxWriter", "line_protocol"]

_PATHS = {1: "/write", 2: "/api/v2/write", 3: "/api/v3/write_lp"}
_HEADERS = {"Content-Type": "text/plain; charset=utf-8"}


class InfluxWriter(QueuedWriter):
    """A writer to InfluxDB, or to anything that takes line protocol at one of its addresses."""

    class Config(WriterOptions):
        """InfluxDB."""

        version: Literal[1, 2, 3]
        """Which InfluxDB it is: `1`, `2` or `3`."""
        url: ServerUrl
        """Address of the server, like `http://localhost:8086`; masked, because it may carry credentials."""
        database: str | None = Field(default=None, min_length=1)
        """Database to write into (versions 1 and 3)."""
        retention_policy: str | None = Field(default=None, min_length=1)
        """Retention policy to write into (version 1); the database's default one when left out."""
        org: str | None = Field(default=None, min_length=1)
        """Name or id of the organization (version 2)."""
        bucket: str | None = Field(default=None, min_length=1)
        """Bucket to write into (version 2)."""
        token: SecretStr | None = None
        """API token (versions 2 and 3); better given as `token_file` or as `${NAME}`."""
        token_file: Path | None = None
        """File that holds the token; read again at each request."""

        @model_validator(mode="after")
        def _fits_the_version(self) -> Self:
            wanted = {"org", "bucket"} if self.version == 2 else {"database"}
            possible = wanted | ({"retention_policy"} if self.version == 1 else {"token", "token_file"})
            keys = ("database", "retention_policy", "org", "bucket", "token", "token_file")
            given = {key for key in keys if getattr(self, key) is not None}
            problems = [f"InfluxDB {self.version} needs `{key}`" for key in sorted(wanted - given)]
            problems += [f"`{key}` has no effect with `version: {self.version}`" for key in sorted(given - possible)]
            if given & {"token", "token_file"}:
                others = self.authorization or self.basic_auth or Address.parse(self.url).has_credentials
                if others or any(name.lower() == "authorization" for name in self.http_headers):
                    problems.append("a token and other credentials are given; keep one")
            if problems:
                raise ValueError("; ".join(problems))
            return self

        def authorized(self) -> HttpOptions:
            """The options for HTTP with the token as the header ``Authorization``."""
            return with_token(self, self.version, self.token, self.token_file)

    def __init__(self, config: Config, context: Context) -> None:
        super().__init__(config, context, _Target(HttpClient(config.url, config.authorized(), context), config))


class _Target:
    def __init__(self, client: HttpClient, config: InfluxWriter.Config) -> None:
        self._client = client
        self._path = _PATHS[config.version]
        given = (
            {"org": config.org, "bucket": config.bucket, "precision": "ms"}
            if config.version == 2
            else {"db": config.database, "rp": config.retention_policy, "precision": "ms"}
            if config.version == 1
            else {"db": config.database, "precision": "millisecond"}
        )
        self._params = {key: value for key, value in given.items() if value is not None}

    def send(self, samples: Samples, *, retry: bool) -> None:
        body = line_protocol(samples)
        self._client.send(
            "POST", self._path, params=self._params, content=body, headers=_HEADERS, retry=retry, what="write"
        )

    def close(self) -> None:
        self._client.close()


def line_protocol(samples: Samples) -> bytes:
    """A line for each sample, times in milliseconds."""
    lines: list[str] = []
    for labels, times, values in samples:
        key = _key(labels)
        lines.extend(
            f"{key} value={value!r} {time}" for value, time in zip(values.tolist(), times.tolist(), strict=True)
        )
    return "\n".join(lines).encode()


@lru_cache(maxsize=1 << 17)
def _key(labels: Labels) -> str:
    """Measurement and tags. https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/#special-characters"""
    name = dict(labels)["__name__"]
    tags = ((key, _escaped(value)) for key, value in labels if key != "__name__")
    return ",".join([name, *(f"{key}={value}" for key, value in tags if value)])


def _escaped(value: str) -> str:
    # A backslash at the end would take the next comma into the value, and nothing can prevent that.
    plain = value.replace("\n", "\\n").replace("\r", "\\r").rstrip("\\")
    return plain.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")
