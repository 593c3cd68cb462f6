"""The keys of a Slack notifier."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.http.address import Url
from tsdiff_monitor.http.options import ConnectionOptions

__all__ = ["SlackOptions"]


class SlackOptions(ConnectionOptions):
    """Slack: by a bot's token, or by an incoming webhook, or by both, the webhook for when the token fails."""

    token: SecretStr | None = None
    """Bot token (`xoxb-...`); better given as `token_file` or as `${NAME}`."""
    token_file: Path | None = None
    """File that holds the token; read again at each request."""
    channel: str | None = Field(default=None, pattern=r"^#?[^\s#@,]+$")
    """The channel to post to: its id (`C0123456789`, at the end of its details; it outlives renaming) or its
    `#name`."""
    webhook_url: Url | None = None
    """Incoming webhook. It can only post, not change what it posted: the opening, each rise of the severity and the
    end are messages of their own."""
    webhook_url_file: Path | None = None
    """File that holds the webhook's address; read again at each request."""
    picture: bool = True
    """Attach a picture of actual against expected values, in the thread; needs the token."""
    api_url: Url = SecretStr("https://slack.com/api/")
    """The address of Slack's Web API; another one for tests and for gateways of your own."""

    @field_validator("token")
    @classmethod
    def _a_bot_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and token.get_secret_value().strip().startswith(("xapp-", "http")):
            raise ValueError("this is no bot token: that one starts with xoxb- (OAuth & Permissions of your app)")
        return token

    @model_validator(mode="after")
    def _some_way(self) -> Self:
        bot = self.token is not None or self.token_file is not None
        if not bot and self.webhook_url is None and self.webhook_url_file is None:
            raise ValueError("give `token` (or `token_file`) with `channel`, or `webhook_url` (or `webhook_url_file`)")
        if bot and self.channel is None:
            raise ValueError("`token` needs a `channel` to post to")
        if not bot:
            for key in ("channel", "picture", "api_url"):
                if key in self.model_fields_set:
                    raise ValueError(f"`{key}` has no effect without `token` or `token_file`; remove it")
        return self
