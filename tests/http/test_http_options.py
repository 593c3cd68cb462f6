"""Values allowed under a connector's HTTP keys, and what is said about the rest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tsdiff_monitor.errors import ConfigError
from tsdiff_monitor.http import failure as http_failure
from tsdiff_monitor.http.address import Address, ServerUrl
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.http.options import HttpOptions, TlsConfig
from tsdiff_monitor.plugins import Context

SECRET = "hunter22"


class ReaderConfig(HttpOptions):
    """A reader's configuration as connectors write them."""

    url: ServerUrl
    """The address of the source."""


def test_every_key_of_prometheus_is_taken() -> None:
    """An http_config as one writes it for Prometheus is understood, durations included."""
    options = ReaderConfig.model_validate(
        {
            "url": "https://metrics.example:9090/prometheus",
            "authorization": {"credentials": SECRET},
            "tls_config": {"ca_file": "ca.pem", "cert_file": "c.pem", "key_file": "c.key", "server_name": "metrics"},
            "proxy_url": "http://robot:hunter22@proxy.example:3128",
            "follow_redirects": True,
            "http_headers": {"X-Scope-OrgID": "tenant-1"},
            "connect_timeout": "2s",
            "read_timeout": "1m",
        }
    )
    assert options.read_timeout.total_seconds() == 60
    assert options.timeout.total_seconds() == 120
    assert SECRET not in repr(options) + str(options) + options.model_dump_json()


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"proxy_url": f"socks5://robot:{SECRET}@proxy:1080"}, "not an address of a server"),
        ({"proxy_url": f"http://robot:{SECRET}@proxy:3128/path"}, "ends after its port"),
        ({"http_headers": {"Host": SECRET}}, "the header Host is set by the connector itself"),
        ({"http_headers": {"Accept-Encoding": SECRET}}, "the header Accept-Encoding is set by the connector itself"),
        ({"connect_timeout": "0s"}, "must be positive"),
        ({"retries": -1}, "greater than or equal to 0"),
        ({"max_response_bytes": 0}, "greater than 0"),
        ({"url": f"ftp://robot:{SECRET}@a.example"}, "not an address of a server"),
        ({"url": f"https://robot:{SECRET}@a.example:99999"}, "not an address of a server"),
        ({"url": f"https://robot:{SECRET}@a example"}, "not an address of a server"),
        ({"url": f"https://a.example/#{SECRET}"}, "no part after `#`"),
    ],
)
def test_mistakes_are_explained(config: dict[str, Any], said: str) -> None:
    """Each mistake is refused when the configuration is read, in words that help, without the secret."""
    with pytest.raises(ValidationError) as caught:
        ReaderConfig.model_validate({"url": "https://a.example", **config})
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


CREDENTIALS: dict[str, dict[str, Any]] = {
    "user:password@ in `url`": {"url": f"https://robot:{SECRET}@a.example"},
    "`basic_auth`": {"basic_auth": {"username": "robot", "password": SECRET}},
    "`authorization`": {"authorization": {"credentials": SECRET}},
    "`http_headers.Authorization`": {"http_headers": {"authorization": SECRET}},
}


@pytest.mark.parametrize("first", CREDENTIALS)
@pytest.mark.parametrize("second", CREDENTIALS)
def test_credentials_are_given_once(first: str, second: str) -> None:
    """Two kinds of credentials at once are refused, both named; each alone is good."""
    config = {"url": "https://a.example", **CREDENTIALS[first], **CREDENTIALS[second]}
    if first == second:
        ReaderConfig.model_validate(config)
        return
    with pytest.raises(ValidationError) as caught:
        ReaderConfig.model_validate(config)
    assert first in str(caught.value)
    assert second in str(caught.value)
    assert SECRET not in str(caught.value)


def test_client_checks_its_address_as_well() -> None:
    """An address that reached the client unchecked is an error of configuration, without its password."""
    options = HttpOptions.model_validate(CREDENTIALS["`basic_auth`"])
    for url in (f"https://robot:{SECRET}@a.example", f"nonsense {SECRET}"):
        with pytest.raises(ConfigError, match="url") as caught:
            HttpClient(url, options, Context(name="prod"))
        assert SECRET not in str(caught.value)
        assert caught.value.file == "prod"


@pytest.mark.parametrize(
    ("base", "path", "full"),
    [
        ("http://a:9090", "/api/v1/query", "http://a:9090/api/v1/query"),
        ("http://a:9090/", "api/v1/query", "http://a:9090/api/v1/query"),
        ("http://a/select/0/prometheus/", "/api/v1/query", "http://a/select/0/prometheus/api/v1/query"),
        ("https://a/x?token=t%20t", "/y", "https://a/x/y?token=t%20t"),
        ("https://u:p@[::1]:8428/x/", "", "https://[::1]:8428/x/"),
        ("http://a", "/label/what?/values", "http://a/label/what%3F/values"),
    ],
)
def test_paths_go_below_the_address(base: str, path: str, full: str) -> None:
    """A prefix and parameters of the address stay; credentials do not."""
    assert str(Address.parse(base).join(path)) == full


DOCUMENT = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("key", HttpOptions.model_fields)
def test_every_key_is_documented_with_its_default(key: str) -> None:
    """docs/http.md has a row for each key, and the row's default is the code's."""
    default = HttpOptions().model_dump(mode="json")[key]
    row = re.search(rf"^\| `{key}` \| ([^|]+) \|", DOCUMENT, re.MULTILINE)
    assert row is not None
    if default and not isinstance(default, dict):
        default = str(default)
    assert row[1] == (f"`{default}`" if isinstance(default, str) else "`false`" if default is False else "none")


def test_every_key_of_tls_and_every_reason_is_documented() -> None:
    """The tables of ``tls_config`` and of reasons are complete."""
    for key in TlsConfig.model_fields:
        assert re.search(rf"^\| (`\w+`, )?`{key}`", DOCUMENT, re.MULTILINE), key
    assert http_failure.__doc__ is not None
    for reason in re.findall(r"^([a-z_]+) {2,}", http_failure.__doc__, re.MULTILINE):
        assert reason == "reason" or f"| `{reason}` |" in DOCUMENT
