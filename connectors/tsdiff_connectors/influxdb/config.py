"""Configuration of the InfluxDB reader, and the keys that each version of the server takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, model_validator

from tsdiff_connectors.influxdb.token import with_token
from tsdiff_monitor.http.address import Address, ServerUrl
from tsdiff_monitor.http.options import HttpOptions

__all__ = ["InfluxConfig", "Language"]

Language = Literal["flux", "influxql", "sql"]

_LANGUAGES: dict[int, tuple[Language, ...]] = {1: ("influxql",), 2: ("flux", "influxql"), 3: ("sql", "influxql")}
"""Per version, the language of a query by default and those that may be chosen instead."""


class InfluxConfig(HttpOptions):
    """An InfluxDB server. A query is in the short form, `cpu.usage_idle{host="a"} | mean`, or in the `language`."""

    version: Literal[1, 2, 3]
    """The InfluxDB's version: `1`, `2` or `3`. Any server that answers InfluxQL at `/query` can be read as `1`."""
    url: ServerUrl
    """Address of the server, like `http://localhost:8086`; masked, because it may carry credentials."""
    language: Language | None = None
    """Language of queries that are not in the short form: `influxql` for version 1, `flux` (or `influxql`, through a
    DBRP mapping) for 2, `sql` (or `influxql`) for 3; the first is the default."""
    database: str | None = Field(default=None, min_length=1)
    """Database to read (InfluxQL and SQL)."""
    retention_policy: str | None = Field(default=None, min_length=1)
    """Retention policy of queries through `/query`; the database's default one when left out."""
    org: str | None = Field(default=None, min_length=1)
    """Name or id of the organization (Flux)."""
    bucket: str | None = Field(default=None, min_length=1)
    """Bucket that queries in the short form read (Flux); others name theirs themselves."""
    token: SecretStr | None = None
    """API token; better given as `token_file` or as `${NAME}`."""
    token_file: Path | None = None
    """File that holds the token; read again at each request."""
    lookback: int = Field(default=1, ge=0, le=10_000)
    """Number of windows before its rows that a query not in the short form is given too, so that derivatives, moving
    averages and `fill(previous)` are right from the first row on."""
    concurrency: int = Field(default=4, ge=1, le=64)
    """Most queries that are under way at once."""
    max_series: int = Field(default=100_000, ge=1)
    """Most series that all queries of a monitor may bring together."""

    @model_validator(mode="after")
    def _fits_the_version(self) -> Self:
        problems = [*self._language_problems(), *self._credential_problems()]
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def spoken(self) -> Language:
        """The language of queries that are not in the short form."""
        return self.language or _LANGUAGES[self.version][0]

    def authorized(self) -> HttpOptions:
        """The options for HTTP with the token as the header ``Authorization``."""
        return with_token(self, self.version, self.token, self.token_file)

    def _language_problems(self) -> Iterator[str]:
        if self.spoken not in _LANGUAGES[self.version]:
            known = " or ".join(f"`{one}`" for one in _LANGUAGES[self.version])
            yield f"InfluxDB {self.version} is read in {known}, not in `{self.spoken}`; correct `version` or `language`"
            return
        needed: dict[str, str] = {}
        if self.spoken == "flux":
            needed = {"org": "the organization's name"}
            useless: tuple[str, ...] = ("database", "retention_policy")
            instead = "Flux reads buckets, as `bucket: telegraf/autogen`"
        else:
            needed = {"database": "the database's name"}
            useless = ("org", "bucket") if self.version != 3 else ("org", "bucket", "retention_policy")
            instead = "these queries read a database" if self.version != 3 else "InfluxDB 3 has databases only"
        for key, what in needed.items():
            if getattr(self, key) is None:
                yield f"version {self.version} in {self.spoken} needs `{key}`, {what}"
        for key in useless:
            if getattr(self, key) is not None:
                yield f"`{key}` has no effect with version {self.version} in {self.spoken} ({instead}); remove it"

    def _credential_problems(self) -> Iterator[str]:
        has_token = self.token is not None or self.token_file is not None
        others: dict[str, Any] = {
            "`basic_auth`": self.basic_auth,
            "`authorization`": self.authorization,
            "user:password@ in `url`": Address.parse(self.url).has_credentials or None,
            "the header Authorization": next((n for n in self.http_headers if n.lower() == "authorization"), None),
        }
        given = [name for name, value in others.items() if value is not None]
        if has_token and given:
            yield f"credentials are given both as `token` and as {given[0]}; keep one"
        if self.spoken != "flux":
            return
        if not has_token and (not given or given[0] in ("`basic_auth`", "user:password@ in `url`")):
            yield "version 2 in flux needs `token` or `token_file`: its API takes no user name and password"
        if Address.parse(self.url).url.query:
            yield "`url` carries parameters, which the client for version 2 cannot send; put them into `http_headers`"
        if self.tls_config.server_name is not None:
            yield "`tls_config.server_name` cannot be given to the client for version 2; put that name into `url`"
