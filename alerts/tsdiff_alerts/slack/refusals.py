"""Slack's error codes: meaning, whether trying again may help, and what a person can do.

Codes: https://docs.slack.dev/reference/methods/chat.postMessage#errors, and of webhooks
https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks#handling_errors
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["EDIT_REFUSED", "FORM_REFUSED", "GONE", "KNOWN_CODES", "Refusal", "refusal_of"]


@dataclass(frozen=True)
class Refusal:
    """``reason`` labels a metric; ``remedy`` is for the user."""

    reason: str
    remedy: str
    recoverable: bool = False


GONE = frozenset({"message_not_found", "cant_update_message"})
"""The message is not there any more, or is another app's: post anew."""

EDIT_REFUSED = frozenset({"edit_window_closed"})
"""The message is there and must stay as it is."""

FORM_REFUSED = frozenset(
    {
        "invalid_attachments",
        "invalid_blocks",
        "invalid_blocks_format",
        "invalid_metadata_format",
        "invalid_metadata_schema",
        "metadata_must_be_sent_from_app",
        "metadata_too_large",
        "msg_blocks_too_long",
        "msg_too_long",
    }
)
"""Slack dislikes how the message is made: plain text may still pass."""

_TOKEN = "check `token`: it is the bot token (xoxb-...) of an app that is installed in the workspace"  # noqa: S105
_SERVER = "Slack has trouble of its own"

KNOWN_CODES = {
    **dict.fromkeys(("invalid_auth", "not_authed", "token_expired", "token_revoked"), Refusal("auth", _TOKEN)),
    "account_inactive": Refusal("auth", "the app was removed from the workspace; install it again"),
    "not_allowed_token_type": Refusal("auth", _TOKEN),
    "invalid_token": Refusal("auth", "the webhook was revoked; create a new one"),
    "no_service": Refusal("auth", "the webhook or its app was removed; create a new one"),
    "no_active_hooks": Refusal("auth", "the webhook is disabled; create a new one"),
    "missing_scope": Refusal("permission", "add the scope under OAuth & Permissions and install the app again"),
    "channel_not_found": Refusal("channel", "check `channel`; a private one the bot must be invited to"),
    "not_in_channel": Refusal("channel", "invite the bot: /invite @name in the channel"),
    "is_archived": Refusal("channel", "the channel is archived; unarchive it or name another one"),
    "channel_is_archived": Refusal("channel", "the webhook's channel is archived; unarchive it"),
    "posting_to_general_channel_denied": Refusal("permission", "only some may post there; name another channel"),
    "team_access_not_granted": Refusal("permission", "the app is not approved for this workspace"),
    "user_not_found": Refusal("channel", "check `channel`"),
    "invalid_payload": Refusal("message", "please report this"),
    "no_text": Refusal("message", "please report this"),
    **dict.fromkeys(("ratelimited", "rate_limited"), Refusal("rate_limited", "it asked us to slow down", True)),
    "message_limit_exceeded": Refusal("rate_limited", "the workspace sends too many messages", True),
    "accesslimited": Refusal("server_error", _SERVER, True),
    "external_channel_migrating": Refusal("server_error", "the channel is being moved", True),
    "fatal_error": Refusal("server_error", _SERVER, True),
    "internal_error": Refusal("server_error", _SERVER, True),
    "request_timeout": Refusal("timeout", _SERVER, True),
    "rollup_error": Refusal("server_error", _SERVER, True),
    "service_unavailable": Refusal("server_error", _SERVER, True),
    "team_added_to_org": Refusal("server_error", "the workspace is being moved", True),
    **dict.fromkeys(FORM_REFUSED, Refusal("message", "please report this")),
}
_FAMILIES = (
    (r"restricted_action.*|.*_blocked|.*_is_restricted|no_permission|access_denied|ekm_access_denied", "permission"),
    (r"action_prohibited|org_login_required|.*_not_allowed|.*_prohibited", "permission"),
)


def refusal_of(code: str) -> Refusal:
    """Meaning of an error code; an unknown one is not worth a retry."""
    known = KNOWN_CODES.get(code)
    if known is not None:
        return known
    for pattern, reason in _FAMILIES:
        if re.fullmatch(pattern, code):
            return Refusal(reason, "an administrator of the workspace must allow it")
    return Refusal("refused", f"see {code} in Slack's documentation of the method" if code else "it gave no reason")
