"""Posts an event's changes as JSON to any HTTP endpoint, signed where a secret is given.

The payload and how to verify the signature are documented in ``docs/plugins.md``; templates, which replace the payload
by one of the user's own, in ``docs/webhook-templates.md``.
"""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_alerts.message.phrases import json_text
from tsdiff_alerts.webhook.json_template import JsonTemplate, Template, TemplateProblem
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.http.address import Url, parse_url
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.options import ServerOptions, check_headers
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

    class Config(ServerOptions):
        """A webhook."""

        url: Url | None = None
        """The address to post to, `http://` or `https://`; masked, because such addresses often carry a token."""
        url_file: Path | None = None
        """File that holds the address; read again at each post."""
        headers: dict[str, SecretStr] = Field(default_factory=dict)
        """The same as `http_headers`, by the name that it had before; the two are put together."""
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
            return check_headers(headers, who="notifier", own=_OWN_HEADERS)

        @model_validator(mode="after")
        def _some_address(self) -> WebhookNotifier.Config:
            if self.url is None and self.url_file is None:
                raise ValueError("give `url` or `url_file`")
            together = {**self.http_headers, **self.headers}
            if len({name.lower() for name in together}) < len(self.http_headers) + len(self.headers):
                raise ValueError("a header is given both in `http_headers` and in `headers`; keep one")
            if "authorization" in {name.lower() for name in self.headers}:
                url = None if self.url is None else parse_url(self.url.get_secret_value())
                if self.basic_auth is not None or self.authorization is not None or (url is not None and url.userinfo):
                    raise ValueError("credentials are given in the header Authorization and elsewhere; keep one")
            return self

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._sender = DeliveryClient(config, context, kind="webhook")
        self._template = None if config.template is None else JsonTemplate(config.template)

    def notify(self, change: EventChange) -> None:
        """Post one change. Raises :class:`DeliveryError`; refused credentials and the like are not worth a retry."""
        config, sender = self._config, self._sender
        body = self._body(change)
        url = sender.address(config.url, config.url_file)
        headers = {name: value.get_secret_value() for name, value in config.headers.items()}
        secrets = tuple(headers.values())
        headers["Idempotency-Key"] = change.key
        secret = sender.resolved(config.secret, config.secret_file)
        if secret is not None:
            timestamp = str(int(self._context.now()))
            headers |= {"X-Tsdiff-Timestamp": timestamp, "X-Tsdiff-Signature": sign(secret, timestamp, body)}
        # The body of the answer says nothing that matters here.
        sender.send("POST", url, content=body, headers=headers, read=0, secrets=secrets)

    def _body(self, change: EventChange) -> bytes:
        try:
            raw = {"version": PAYLOAD_VERSION, **change.to_json()} if self._template is None else self._template(change)
        except TemplateProblem as error:
            raise self._sender.failure(str(error), "template", recoverable=False) from None
        return json_text(raw).encode("utf-8", "replace")

    def close(self) -> None:
        """Close the connections that are kept open between posts."""
        self._sender.close()
