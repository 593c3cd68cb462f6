"""API tokens of InfluxDB as the credentials of HTTP."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from tsdiff_monitor.http.options import Authorization, HttpOptions

__all__ = ["with_token"]


def with_token(options: HttpOptions, version: int, token: SecretStr | None, token_file: Path | None) -> HttpOptions:
    """The options with the token as the header ``Authorization``; unchanged where there is none.

    ``version`` of the server: 3 calls the token `Bearer`, those before it `Token`.
    """
    if token is None and token_file is None:
        return options
    kind = "Bearer" if version == 3 else "Token"
    header = Authorization(type=kind, credentials=token, credentials_file=token_file)
    return options.model_copy(update={"authorization": header})
