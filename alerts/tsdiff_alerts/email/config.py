"""The configuration of an e-mail notifier."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from tsdiff_alerts.email.message import mailbox
from tsdiff_monitor.http.options import TlsConfig
from tsdiff_monitor.settings.fields import PositiveDuration
from tsdiff_monitor.settings.model import StrictModel

__all__ = ["EmailConfig"]


def _checked_mailbox(text: str) -> str:
    mailbox(text)
    return text


_Mailbox = Annotated[str, AfterValidator(_checked_mailbox)]


class EmailConfig(StrictModel):
    """Mails."""

    host: str = Field(min_length=1, pattern=r"^[^\s/:@]+$|^[0-9A-Fa-f:]+$")
    """The mail server that takes them, like `smtp.example.org`."""
    port: int | None = Field(default=None, ge=1, le=65535)
    """Its port; when left out 587 with `starttls`, 465 with `tls`, 25 with `none`."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`starttls`: encrypted after a greeting, and never without; `tls`: from the start; `none`: not at all."""
    username: str | None = Field(default=None, min_length=1)
    """User to log in as; no login when left out."""
    password: SecretStr | None = None
    """The user's password; better given as `password_file` or as `${NAME}`."""
    password_file: Path | None = None
    """File that holds the password; read again at each mail."""
    from_: _Mailbox = Field(alias="from")
    """Whom the mails are from, like `Monitoring <monitor@example.org>`."""
    to: tuple[_Mailbox, ...] = Field(min_length=1)
    """Whom they are sent to."""
    cc: tuple[_Mailbox, ...] = ()
    """Recipients of a copy."""
    tls_config: TlsConfig = TlsConfig()
    """Certificates: `ca_file`, `cert_file`, `key_file`, `server_name`, `insecure_skip_verify`."""
    timeout: PositiveDuration = timedelta(seconds=30)
    """Limit of sending a mail in all, connecting included."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        given = self.password is not None or self.password_file is not None
        if given != (self.username is not None):
            raise ValueError("`username` and `password` (or `password_file`) belong together; give both or none")
        if self.security == "none":
            if self.tls_config != TlsConfig():
                raise ValueError("`tls_config` has no effect with `security: none`; remove it, or use starttls")
            if given and not _is_here(self.host):
                raise ValueError("with `security: none` anybody could read the password; use starttls or tls")
        return self


def _is_here(host: str) -> bool:
    """True where what is sent to ``host`` stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
