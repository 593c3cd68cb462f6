"""Sends an event's changes by mail, over SMTP: https://www.rfc-editor.org/rfc/rfc5321 and, for TLS, RFC 3207 and 8314.

=============== ======================================================= ===========
reason          failure                                                 recoverable
=============== ======================================================= ===========
connect         refused, cut off, unknown host                          yes
timeout         no end in time, or of the exchange before               yes
tls             certificates do not fit                                 yes
no_starttls     the server does not offer STARTTLS                      no
auth            wrong user or password (535 and the like); 4yz: yes     no
sender          the server refuses ``from``; 4yz: yes                   no
recipient       the server refuses all recipients; any 4yz: yes         no
too_large       552, 5.3.4: even without the picture                    no
unavailable     any other 4yz                                           yes
refused         any other 5yz                                           no
config          a secret's or certificate's file cannot be used         yes
=============== ======================================================= ===========
"""

from __future__ import annotations

import smtplib
from collections.abc import Callable, Mapping
from datetime import timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

import structlog
from pydantic import AfterValidator, Field, SecretStr, model_validator

from tsdiff_alerts.email.exchange import Exchange, Refused
from tsdiff_alerts.email.failure import failure_of
from tsdiff_alerts.email.message import compose, mailbox
from tsdiff_monitor.errors import ConfigError, DeliveryError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.http.options import TlsConfig
from tsdiff_monitor.http.tls import make_context
from tsdiff_monitor.plugins import BusyError, Context, DeadlineError, Lane
from tsdiff_monitor.settings.durations import format_duration
from tsdiff_monitor.settings.fields import PositiveDuration
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.settings.secrets import resolve_secret

__all__ = ["EmailNotifier"]

Picture = Callable[[EventChange], bytes | None]

_log = structlog.get_logger(__name__)


def _checked_mailbox(text: str) -> str:
    mailbox(text)
    return text


_Mailbox = Annotated[str, AfterValidator(_checked_mailbox)]


class EmailNotifier:
    """A notifier that sends one mail per change."""

    class Config(StrictModel):
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

    def __init__(self, config: Config, context: Context, picture: Picture | None = None) -> None:
        """``picture`` draws a change as a PNG; None stands for :func:`tsdiff_alerts.message.picture.draw`."""
        self._config = config
        self._context = context
        self._draw = picture
        self._pictures_failed = 0
        self._lane = Lane("email-exchange")

    def notify(self, change: EventChange) -> None:
        """Send one mail. Raises :class:`DeliveryError`; the reasons are in the module's table.

        It is delivered when the server takes it for one recipient; the refused ones are logged. A picture that cannot
        be drawn, or that makes the mail too large, is left out.
        """
        picture, failed = None, ""
        try:
            picture = self._picture(change)
        except Exception as error:  # any error of a drawing library: the text matters more
            failed = type(error).__name__
        try:
            self._send(self._composed(change, picture))
        except DeliveryError as error:
            if error.reason != "too_large" or picture is None:
                raise
            self._send(self._composed(change, None))
            failed = error.reason
        if failed:
            self._pictures_failed += 1
            _log.warning("the picture of a mail failed", notifier=self._context.name, key=change.key, error=failed)

    def stats(self) -> Mapping[str, float]:
        """Number of mails without their picture."""
        return {"pictures_failed_total": self._pictures_failed}

    def _picture(self, change: EventChange) -> bytes | None:
        if self._draw is not None:
            return self._draw(change)
        from tsdiff_alerts.message.picture import draw

        return draw(change)

    def _composed(self, change: EventChange, picture: bytes | None) -> EmailMessage:
        config = self._config
        to, cc = [mailbox(one) for one in config.to], [mailbox(one) for one in config.cc]
        now = self._context.now()
        return compose(change, sender=mailbox(config.from_), to=to, cc=cc, now=now, picture=picture)

    def _send(self, mail: EmailMessage) -> None:
        config = self._config
        try:
            password = resolve_secret(config.password, config.password_file)
            context = None if config.security == "none" else make_context(config.tls_config)
        except (ConfigError, ValueError) as error:  # the file may be back, or be corrected, at the next try
            raise self._failed(str(error), "config", recoverable=True) from None
        if password is not None and not password.isascii():
            raise self._failed("the password may hold ASCII only; choose another one", "config", recoverable=True)
        refused = self._exchanged(Exchange(config, context, password, mail))
        if refused:
            _log.warning(
                "a mail was refused for some recipients",
                notifier=self._context.name,
                recipients=sorted(refused),
                codes=sorted({code for code, _ in refused.values()}),
            )

    def _exchanged(self, exchange: Exchange) -> Refused:
        """The recipients that were refused; the whole exchange takes ``timeout`` at most."""
        config = self._config
        limit = format_duration(config.timeout)
        try:
            return self._lane.call(config.timeout.total_seconds(), exchange.run)
        except DeadlineError:
            exchange.give_up()
            if exchange.refused is not None:  # it is delivered, only the farewell is missing
                return exchange.refused
            said, reason, recoverable = f"no end of the exchange within {limit}; see `timeout`", "timeout", True
        except BusyError:
            said, reason, recoverable = "the exchange before has not ended yet; check the server", "timeout", True
        except (smtplib.SMTPException, OSError) as error:
            said, reason, recoverable = failure_of(error, exchange.secrets)
        # without the cause: servers repeat what they were sent
        raise self._failed(f"{config.host}: {said}", reason, recoverable=recoverable)

    def _failed(self, message: str, reason: str, *, recoverable: bool) -> DeliveryError:
        return DeliveryError(f"email {self._context.name!r}: {message}", recoverable=recoverable, reason=reason)


def _is_here(host: str) -> bool:
    """True where what is sent to ``host`` stays on this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
