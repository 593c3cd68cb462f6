"""Failures of SMTP: words for people, a reason, and whether a retry may help.

Codes: https://www.rfc-editor.org/rfc/rfc5321#section-4.2 (4yz: for now, 5yz: for good) and RFC 3463 (``5.3.4``).
"""

from __future__ import annotations

import base64
import re
import smtplib
from collections.abc import Sequence

from tsdiff_alerts.message.phrases import shorten
from tsdiff_monitor.http.tls import tls_words

__all__ = ["failure_of"]

Failure = tuple[str, str, bool]
"""Message, reason, recoverable."""

_SHOWN = 200
_SIZE_CODE = 552
_SIZE = re.compile(r"\b5\.3\.4\b|\b5\.2\.3\b|too (large|big)|size (limit|exceed)", re.IGNORECASE)
_LOGIN_CODES = {530, 534, 535, 538}


def failure_of(error: smtplib.SMTPException | OSError, secrets: Sequence[str] = ()) -> Failure:
    """Judge what ``smtplib`` raised; the ``secrets`` are masked in what the server said."""
    if said := tls_words(error):
        return f"no secure connection: {said}", "tls", True
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return _judged("the login is refused", error.smtp_code, _text(error.smtp_error, secrets), "auth")
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, reply = min(error.recipients.values(), key=lambda reply: reply[0])  # one 4yz is worth a retry
        names = shorten(", ".join(sorted(error.recipients)), _SHOWN)
        return _judged(f"none of {names} is accepted", code, _text(reply, secrets), "recipient")
    if isinstance(error, smtplib.SMTPResponseException):
        answer = _text(error.smtp_error, secrets)
        if isinstance(error, smtplib.SMTPSenderRefused) and not _is_size(error.smtp_code, answer):
            reason = "auth" if error.smtp_code in _LOGIN_CODES else "sender"
            return _judged(f"it takes no mail from {shorten(error.sender, _SHOWN)}", error.smtp_code, answer, reason)
        return _judged("the mail is refused", error.smtp_code, answer, "")
    if isinstance(error, smtplib.SMTPNotSupportedError):
        if "STARTTLS" in str(error):
            return "it does not offer STARTTLS; use `security: tls` if it speaks TLS at once", "no_starttls", False
        return "it offers no login here; leave out `username`, or check `port` and `security`", "auth", False
    if isinstance(error, smtplib.SMTPServerDisconnected):
        if isinstance(error.__context__, TimeoutError):
            return "no answer in time", "timeout", True
        return "the connection was cut off", "connect", True
    if isinstance(error, TimeoutError):
        return "no answer in time", "timeout", True
    if isinstance(error, OSError) and not isinstance(error, smtplib.SMTPException):
        return f"cannot be reached ({error.strerror or type(error).__name__}); check `host` and `port`", "connect", True
    return "it offers no way to log in that is known here; check `port` and `security`", "auth", False


def _judged(said: str, code: int, answer: str, reason: str) -> Failure:
    """4yz is worth a retry; ``reason`` is what a refusal for good is called."""
    said = f"{said}: {code} {answer}".rstrip()
    if _is_size(code, answer):
        return said, "too_large", False
    if not 500 <= code < 600:  # 4yz, and what is no answer of SMTP at all
        return said, reason or "unavailable", True
    if reason in ("auth", ""):
        remedy = "check `username` and `password`" if reason else ""
        return "; ".join(filter(None, (said, remedy))), reason or "refused", False
    return said, reason, False


def _is_size(code: int, answer: str) -> bool:
    return code == _SIZE_CODE or (code >= 500 and _SIZE.search(answer) is not None)


def _text(answer: bytes | str, secrets: Sequence[str]) -> str:
    """The server's answer in one line, without secrets, also not as the login sends them."""
    said = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else answer
    for secret in secrets:
        for form in (secret, base64.b64encode(secret.encode()).decode("ascii")):
            said = said.replace(form, "<secret>")
    return shorten(" ".join(said.split()), _SHOWN)
