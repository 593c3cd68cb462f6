"""One exchange with a mail server, from the connection to the farewell, which another thread can give up."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
from contextlib import suppress
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tsdiff_alerts.email.message import mailbox

if TYPE_CHECKING:
    from tsdiff_alerts.email.config import EmailConfig

__all__ = ["Exchange", "Refused"]

Refused: TypeAlias = "dict[str, tuple[int, bytes]]"
"""The server's code and words for each recipient that it does not take."""

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


class Exchange:
    """Sends ``mail``, encrypted where ``context`` is given, logged in where ``password`` is."""

    def __init__(
        self, config: EmailConfig, context: ssl.SSLContext | None, password: str | None, mail: EmailMessage
    ) -> None:
        self.secrets = (password, f"\0{config.username}\0{password}") if password else ()
        """Texts that no message may show."""
        self.refused: Refused | None = None
        """Recipients that were refused, as soon as the server has taken the mail."""
        self._config = config
        self._context = context
        self._password = password
        self._mail = mail
        self._connection: smtplib.SMTP | None = None
        self._given_up = False

    def run(self) -> Refused:
        """The recipients that were refused; the mail is delivered to the others. Raises what ``smtplib`` raises."""
        config = self._config
        recipients = [mailbox(one).addr_spec for one in (*config.to, *config.cc)]
        try:
            self._connect()
            assert self._connection is not None
            if self._password is not None and config.username is not None:
                self._connection.login(config.username, self._password)
            if self._given_up:
                raise TimeoutError
            self.refused = self._connection.send_message(self._mail, mailbox(config.from_).addr_spec, recipients)
            with suppress(smtplib.SMTPException, OSError):  # it is delivered, even if the farewell fails
                self._connection.quit()
        finally:
            if self._connection is not None:
                self._connection.close()
        return self.refused

    def give_up(self) -> None:
        """Cut the connection, so that :meth:`run` ends soon and sends no mail that is not on its way yet."""
        self._given_up = True
        connection = self._connection
        # There may be no connection yet, or no more; the copy leaves alone what TLS keeps on the socket.
        with suppress(Exception), socket.socket(fileno=os.dup(cast(Any, connection).sock.fileno())) as copy:
            copy.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> None:
        config = self._config
        timeout = config.timeout.total_seconds()
        if config.security == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(timeout=timeout, context=self._context)
        else:
            connection = smtplib.SMTP(timeout=timeout)
        self._connection = connection
        # smtplib has no argument for the name in the certificate
        cast(Any, connection)._host = config.tls_config.server_name or config.host
        code, said = connection.connect(config.host, config.port or _PORTS[config.security])
        if code != 220:
            raise smtplib.SMTPConnectError(code, said)
        if config.security == "starttls":
            connection.starttls(context=self._context)
