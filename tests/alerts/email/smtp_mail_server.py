"""A local mail server (aiosmtpd) that asks for TLS and a login, keeps what it takes, and refuses as it is set."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.servers.certificates import Pair
from tests.servers.process import free_port

__all__ = ["PASSWORD", "USER", "MailServer"]

USER, PASSWORD = "robot", "open-sesame-mail"


@dataclass
class Post:
    """Decisions of the server: an answer per stage (empty: it accepts); and what it took."""

    mail_from: str = ""
    data: str = ""
    refused: dict[str, str] = field(default_factory=dict)
    """Answers by recipient."""
    drop: bool = False
    """True if it cuts the connection off in the middle of the mail."""
    silent_farewell: bool = False
    """True if it leaves the farewell without an answer."""
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    logins: int = 0

    async def handle_MAIL(  # noqa: N802 (the names are aiosmtpd's)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if self.mail_from:
            return self.mail_from
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 (the names are aiosmtpd's)
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.drop:
            assert server.transport is not None
            server.transport.abort()
            return "250 never heard"
        if self.data:
            return self.data
        content = envelope.content
        assert isinstance(content, bytes)
        self.raw.append(content)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.envelopes.append((envelope.mail_from or "", tuple(envelope.rcpt_tos)))
        return "250 OK"

    async def handle_QUIT(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.silent_farewell:
            await asyncio.Event().wait()  # until the client leaves
        return "221 bye"


class MailServer:
    """Runs in a thread of its own, on 127.0.0.1; ``post`` says what it decides and holds what it took."""

    def __init__(
        self, pair: Pair | None = None, *, security: str = "none", login: bool = False, largest: int | None = None
    ) -> None:
        self.post = Post()
        self.port = free_port()
        context = None
        if pair is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(pair.cert_file, pair.key_file)
        options: dict[str, Any] = {"data_size_limit": largest, "server_hostname": "mail.test"}
        if security == "starttls":
            options |= {"tls_context": context, "require_starttls": True}
        elif security == "tls":
            options |= {"ssl_context": context}
        if login:
            encrypted_later = security == "starttls"
            options |= {"auth_required": True, "auth_require_tls": encrypted_later, "authenticator": self._authenticate}
        self._controller = Controller(self.post, hostname="127.0.0.1", port=self.port, **options)
        self._controller.start()

    def stop(self) -> None:
        """End it."""
        self._controller.stop()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        self.post.logins += good
        return AuthResult(success=good, handled=good)
