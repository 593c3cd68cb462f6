"""Posts an event's changes as JSON to any HTTP endpoint, signed where a secret is given.

The payload and how to verify the signature are documented in ``docs/plugins.md``; templates, which replace the payload
by one of the user's own, in ``docs/webhook-templates.md``.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_alerts.http_options import HttpOptions, Url, check_headers, parsed
from tsdiff_alerts.http_post import HttpSender
from tsdiff_alerts.message.phrases import json_text
from tsdiff_alerts.webhook.json_template import JsonTemplate, Template, TemplateProblem
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.plugins import Context

__all__ = ["WebhookNotifier", "sign"]

PAYLOAD_VERSION = 1

_OWN_HEADERS = ("idempotency-key", "x-tsdiff-signature", "x-tsdiff-timestamp")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The value of ``X-Tsdiff-Signature``: HMAC-SHA256 over ``<timestamp>.<body>``."""
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"sha256={digest.hexdigest()}"


class WebhookNotifier:
    """A notifier for endpoints of one's own."""

    class Config(HttpOptions):
        """A webhook."""

        url: Url | None = None
        """Where to post to, `http://` or `https://`; masked, because such addresses often carry a token."""
        url_file: Path | None = None
        """File that holds the address; read again at each post."""
        headers: dict[str, SecretStr] = Field(default_factory=dict)
        """Headers added to each request, such as `Authorization`; the values are masked."""
        secret: SecretStr | None = None
        """Key of the signature in the header `X-Tsdiff-Signature`; no signature when left out."""
        secret_file: Path | None = None
        """File that holds the key; read again at each post."""

        template: Template | None = None
        """The body to post instead of the documented one: any JSON structure whose strings hold `{{ placeholders }}`,
        or a text that becomes JSON."""

        @field_validator("template")
        @classmethod
        def _a_template(cls, template: Template | None) -> Template | None:
            if template is not None:
                JsonTemplate(template).check()
            return template

        @field_validator("headers")
        @classmethod
        def _headers_that_count(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
            return check_headers(headers, _OWN_HEADERS)

        @model_validator(mode="after")
        def _some_address(self) -> WebhookNotifier.Config:
            if self.url is None and self.url_file is None:
                raise ValueError("give `url` or `url_file`")
            url = None if self.url is None else parsed(self.url.get_secret_value())
            if url is not None and url.userinfo and "authorization" in {name.lower() for name in self.headers}:
                raise ValueError("credentials are given both in `url` and in the header Authorization; keep one")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._sender = HttpSender(config, context, kind="webhook")
        self._template = None if config.template is None else JsonTemplate(config.template)

    def notify(self, change: EventChange) -> None:
        """Post one change. Raises :class:`DeliveryError`; refused credentials and the like are not worth a retry."""
        config, sender = self._config, self._sender
        body = self._body(change)
        url = sender.address(config.url, config.url_file)
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        headers["Idempotency-Key"] = change.key
        secret = sender.resolved(config.secret, config.secret_file)
        if secret is not None:
            timestamp = str(int(self._context.now()))
            headers |= {"X-Tsdiff-Timestamp": timestamp, "X-Tsdiff-Signature": sign(secret, timestamp, body)}
        # The body of the answer says nothing that matters here.
        sender.send("POST", url, content=body, headers=headers, read=0)

    def _body(self, change: EventChange) -> bytes:
        try:
            raw = {"version": PAYLOAD_VERSION, **change.to_json()} if self._template is None else self._template(change)
        except TemplateProblem as error:
            raise self._sender.failure(str(error), "template", recoverable=False) from None
        return json_text(raw).encode("utf-8", "replace")

    def close(self) -> None:
        """Close the connections that are kept open between posts."""
        self._sender.close()
