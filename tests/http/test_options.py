"""Credentials, certificates and headers as users write them, and what is said about mistakes."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from tsdiff_monitor.http.options import Authorization, BasicAuth, TlsConfig, check_headers
from tsdiff_monitor.settings.model import StrictModel

SECRET = "hunter22"


class Options(StrictModel):
    """The messages for readers, writers and notifiers."""

    basic_auth: BasicAuth | None = None
    """A user."""
    authorization: Authorization | None = None
    """A token."""
    tls_config: TlsConfig = TlsConfig()
    """Certificates."""


def test_secrets_are_masked() -> None:
    """A password and a token are shown in no form of the options."""
    options = Options.model_validate(
        {"basic_auth": {"username": "robot", "password": SECRET}, "authorization": {"credentials": SECRET}}
    )
    assert SECRET not in repr(options) + str(options) + options.model_dump_json()
    assert options.authorization is not None
    assert options.authorization.type == "Bearer"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"basic_auth": {"username": "", "password": SECRET}}, "at least 1 character"),
        ({"basic_auth": {"username": "a:b", "password": SECRET}}, "cannot hold a colon"),
        ({"authorization": {"type": "Bearer"}}, "give `credentials` or `credentials_file`"),
        ({"authorization": {"type": "basic", "credentials": SECRET}}, "use `basic_auth`"),
        ({"authorization": {"type": "Bearer x", "credentials": SECRET}}, "the type is one word"),
        ({"authorization": {"type": "Bearer\n", "credentials": SECRET}}, "the type is one word"),
        ({"tls_config": {"cert_file": "c.pem"}}, "`cert_file` and `key_file` belong together"),
        ({"tls_config": {"key_file": "c.key"}}, "`cert_file` and `key_file` belong together"),
        ({"tls_config": {"server_name": ""}}, "at least 1 character"),
        ({"tls_config": {"ca_file": "ca.pem", "insecure_skip_verify": True}}, "`ca_file` has no effect"),
    ],
)
def test_mistakes_are_explained(config: dict[str, Any], said: str) -> None:
    """Each mistake is refused in words that name the remedy, without the secret."""
    with pytest.raises(ValidationError) as caught:
        Options.model_validate(config)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def headers(**values: str) -> dict[str, SecretStr]:
    """Header names, with ``_`` for ``-``, and their values."""
    return {name.replace("_", "-"): SecretStr(value) for name, value in values.items()}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"no name": SecretStr(SECRET)}, "'no name' is not a header name"),
        ({"": SecretStr(SECRET)}, "'' is not a header name"),
        (headers(Host=SECRET), "the header Host is set by the connector itself; remove it"),
        (headers(X_Own=SECRET), "the header X-Own is set by the connector itself; remove it"),
        (headers(X_A=f"{SECRET}\r\nX-B: b"), "X-A may hold printable ASCII only"),
        (headers(X_A=f"{SECRET}\n"), "X-A may hold printable ASCII only"),
        (headers(X_A=f"{SECRET}é"), "X-A may hold printable ASCII only"),
        (headers(X_A=SECRET, x_a=SECRET), "given twice"),
    ],
)
def test_headers_that_cannot_be_sent(given: dict[str, SecretStr], said: str) -> None:
    """A header that would break the request, or that the sender sets, is named, and its value is not."""
    with pytest.raises(ValueError, match="header") as caught:
        check_headers(given, who="connector", own=("x-own",))
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


def test_headers_that_can_be_sent() -> None:
    """All else is taken as it is."""
    good = headers(X_Scope_OrgID="tenant 1", Authorization=SECRET, X_Empty="")
    assert check_headers(good, who="notifier") is good
