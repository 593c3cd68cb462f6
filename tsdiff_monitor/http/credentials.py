"""The headers that say who we are, read anew for each request: secrets rotate while the process runs."""

from __future__ import annotations

from dataclasses import dataclass

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.http.address import Address
from tsdiff_monitor.http.options import ConnectionOptions, ServerOptions, fits_header
from tsdiff_monitor.http.secrets import basic_credentials
from tsdiff_monitor.settings.secrets import resolve_secret

__all__ = ["Identity", "identify"]


@dataclass(frozen=True, repr=False)
class Identity:
    """Headers for the server alone, and the texts in them that must not be shown."""

    headers: dict[str, str]
    secrets: tuple[str, ...]


def identify(address: Address, options: ConnectionOptions) -> Identity:
    """Headers and credentials as they are now. Raises :class:`ConfigError` when a secret's file cannot be used."""
    headers = {name: value.get_secret_value() for name, value in options.http_headers.items()}
    secrets = [*headers.values(), *address.secrets()]
    if options.proxy_url is not None:
        secrets += Address.parse(options.proxy_url).secrets()
    if address.has_credentials:
        secrets.append(_basic(headers, address.username, address.password))
    elif not isinstance(options, ServerOptions):
        pass
    elif options.basic_auth is not None:
        password = resolve_secret(options.basic_auth.password, options.basic_auth.password_file) or ""
        secrets += [password, _basic(headers, options.basic_auth.username, password)]
    elif options.authorization is not None:
        token = resolve_secret(options.authorization.credentials, options.authorization.credentials_file) or ""
        if not token or not fits_header(token):
            problem = "the credentials hold something that no header can carry"
            remedy = "write one line of printable ASCII"
            file = str(options.authorization.credentials_file or "authorization")
            raise ConfigError(file, [ConfigProblem("", problem, remedy)])
        headers["Authorization"] = f"{options.authorization.type} {token}"
        secrets.append(token)
    return Identity(headers, tuple(secrets))


def _basic(headers: dict[str, str], username: str, password: str) -> str:
    encoded = basic_credentials(username, password)
    headers["Authorization"] = f"Basic {encoded}"
    return encoded
