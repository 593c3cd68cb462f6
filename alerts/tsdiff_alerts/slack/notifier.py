"""Posts events to Slack: https://docs.slack.dev/reference/methods/chat.postMessage

With a bot token an event is one message that is updated in place (``chat.update``); what matters (it got worse, it is
over) is also said in its thread, with a picture. With an incoming webhook alone there is a message for each of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from tsdiff_alerts.slack.message import Message, make_message, news, state_of
from tsdiff_alerts.slack.options import SlackOptions
from tsdiff_alerts.slack.picture import attach_picture
from tsdiff_alerts.slack.refusals import EDIT_REFUSED, FORM_REFUSED, GONE
from tsdiff_alerts.slack.webhook import post_by_webhook
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import EventChange
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.plugins import Context, Receipt

if TYPE_CHECKING:
    from slack_sdk.web.slack_response import SlackResponse

    from tsdiff_alerts.slack.api import SlackApi
    from tsdiff_alerts.slack.posted_messages import PostedMessages

__all__ = ["SlackNotifier"]

_CERTAIN = {"rate_limited", "config", "tls"}
"""Reasons of failures, worth a retry, that mean that nothing was posted."""

_log = structlog.get_logger(__name__)


class SlackNotifier:
    """A notifier for a channel. Its receipts: ``channel`` and ``ts`` of the message, and what was last said."""

    Config = SlackOptions
    keeps_receipts: ClassVar[bool] = True
    pace: ClassVar[float] = 1.0

    def __init__(self, config: SlackOptions, context: Context) -> None:
        self._config = config
        self._name = context.name
        self._pictures_failed = 0
        self._sender = DeliveryClient(config, context, kind="slack")
        self._webhook = config.webhook_url is not None or config.webhook_url_file is not None
        self._bot: tuple[SlackApi, PostedMessages] | None = None
        if config.channel is not None:
            from tsdiff_alerts.slack.api import SlackApi
            from tsdiff_alerts.slack.posted_messages import PostedMessages

            url = self._sender.address(config.api_url, None)
            api = SlackApi(self._sender, url, self._token, context.now)
            self._bot = (api, PostedMessages(api, config.channel, self._name))

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        """Post the event, or change its message. Raises :class:`DeliveryError`.

        A message that was deleted is posted anew. Where there is a webhook too, it serves when the token does not.
        """
        if self._bot is None:
            return post_by_webhook(self._sender, self._config, change, receipt or {})
        try:
            return self._by_bot(*self._bot, change, receipt)
        except DeliveryError as error:
            if error.recoverable or not self._webhook:
                raise
            _log.warning("posting by webhook instead", notifier=self._name, reason=error.reason, error=str(error))
        return post_by_webhook(self._sender, self._config, change, receipt or {})

    def stats(self) -> Mapping[str, float]:
        """Number of messages without their picture."""
        return {"pictures_failed_total": self._pictures_failed}

    def close(self) -> None:
        """Close the connections that are kept open between posts."""
        self._sender.close()

    def _by_bot(self, api: SlackApi, messages: PostedMessages, change: EventChange, receipt: Receipt | None) -> Receipt:
        from slack_sdk.errors import SlackApiError

        message = make_message(change)
        where = (receipt or {}).get("channel") or self._config.channel or ""
        try:
            if receipt is None or "ts" not in receipt:
                receipt = messages.find(change.event.id) or receipt
            if receipt is not None and "ts" in receipt and self._update(api, message, receipt):
                return self._follow_up(api, change, receipt)
            posted = self._post(api, message)
        except SlackApiError as error:
            failure = api.delivery_error(error, where)
        except DeliveryError as error:
            failure = error
        else:
            new = {"channel": str(posted["channel"]), "ts": str(posted["ts"])}
            return self._with_picture(api, change, {**new, **state_of(change.event)})
        if failure.recoverable and failure.reason not in _CERTAIN:
            messages.uncertain()
        raise failure from None

    def _post(self, api: SlackApi, message: Message) -> SlackResponse:
        from slack_sdk.errors import SlackApiError

        from tsdiff_alerts.slack.api import code_of

        places: dict[str, Any] = {"channel": self._config.channel, "text": message.text, "parse": "none"}
        places |= {"mrkdwn": False, "unfurl_links": False, "unfurl_media": False}
        try:
            posted = api.chat_postMessage(**places, blocks=message.blocks, metadata=message.metadata)
        except SlackApiError as error:
            if code_of(error) not in FORM_REFUSED:
                raise
            _log.warning("message posted as plain text", notifier=self._name, error=code_of(error))
            posted = api.chat_postMessage(**places)
        if not posted.get("ts") or not posted.get("channel"):
            raise self._sender.failure("the answer to chat.postMessage lacks `ts` or `channel`", "bad_answer")
        return posted

    def _update(self, api: SlackApi, message: Message, receipt: Receipt) -> bool:
        """True where the message is still there."""
        from slack_sdk.errors import SlackApiError

        from tsdiff_alerts.slack.api import code_of

        places: dict[str, Any] = {"channel": receipt["channel"], "ts": receipt["ts"]}
        places |= {"text": message.text, "parse": "none"}
        try:
            api.chat_update(**places, blocks=message.blocks, metadata=message.metadata)
        except SlackApiError as error:
            code = code_of(error)
            if code in FORM_REFUSED:
                api.chat_update(**places, blocks=[])
            elif code not in EDIT_REFUSED | GONE:
                raise
            return code not in GONE
        return True

    def _follow_up(self, api: SlackApi, change: EventChange, receipt: Receipt) -> Receipt:
        """Say in the thread what is new."""
        said = news(change, receipt)
        now = {**receipt, **state_of(change.event)}
        if said is None:
            return now if "picture" in now else self._with_picture(api, change, now)
        api.chat_postMessage(channel=receipt["channel"], thread_ts=receipt["ts"], text=said, parse="none")
        return self._with_picture(api, change, now)

    def _with_picture(self, api: SlackApi, change: EventChange, receipt: dict[str, str]) -> Receipt:
        if not self._config.picture:
            return receipt
        try:
            file_id = attach_picture(api, change, receipt["channel"], receipt["ts"])
        except DeliveryError as error:  # the words are there, and must not be posted again for its sake
            self._pictures_failed += 1
            _log.warning(
                "message without its picture",
                notifier=self._name,
                key=change.key,
                reason=error.reason,
                error=str(error),
            )
            return receipt
        return receipt if file_id is None else {**receipt, "picture": file_id}

    def _token(self) -> str:
        token = self._sender.resolved(self._config.token, self._config.token_file) or ""
        return self._sender.header_value(token.strip(), "`token`")
