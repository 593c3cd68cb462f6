"""Slack's Web API through ``slack_sdk``, over our own HTTP connection.

``slack_sdk`` knows the methods and their arguments. Its transport is replaced, at the one public method that all of
them go through, because urllib follows redirects with the token in hand, reads answers of any length, and cannot be
given a transport by tests.
"""

from __future__ import annotations

import json as json_module
import logging
import re
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import urlencode

import httpx
from slack_sdk.errors import SlackApiError
from slack_sdk.web import WebClient
from slack_sdk.web.slack_response import SlackResponse

from tsdiff_alerts.slack.refusals import refusal_of
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.http.address import safe_url
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.retry_after import retry_after

__all__ = ["SlackApi", "code_of"]

_READ = 1 << 20  # bytes of an answer: Slack repeats the message in it, and history holds many
_READ_HISTORY = 1 << 23
_SILENT = logging.Logger("slack_sdk", level=logging.CRITICAL)  # it would log addresses and whole requests


class SlackApi(WebClient):
    """A ``WebClient`` whose calls raise ``SlackApiError`` when Slack refuses, ``DeliveryError`` otherwise."""

    def __init__(
        self, sender: DeliveryClient, url: httpx.URL, token: Callable[[], str], now: Callable[[], float]
    ) -> None:
        super().__init__(base_url=str(url), retry_handlers=[], logger=_SILENT)
        self._sender = sender
        self._bearer = token
        self._now = now

    def __repr__(self) -> str:
        return f"SlackApi({self._sender!r})"

    def api_call(
        self,
        api_method: str,
        *,
        http_verb: str = "POST",  # noqa: ARG002  Slack takes POST for every method
        files: dict[str, Any] | None = None,  # noqa: ARG002
        data: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        json: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        auth: dict[str, str] | None = None,  # noqa: ARG002
    ) -> SlackResponse:
        """Call a method of the Web API with the token as it is now."""
        if json is not None:
            body, kind = json_module.dumps(json, allow_nan=False), "application/json; charset=utf-8"
        else:
            body, kind = urlencode(_form({**(data or {}), **(params or {})})), "application/x-www-form-urlencoded"
        url = httpx.URL(self.base_url + api_method)
        token = self._bearer()
        sent = {**(headers or {}), "Authorization": f"Bearer {token}", "Content-Type": kind}
        read = _READ_HISTORY if api_method == "conversations.history" else _READ
        answer = self._sender.send("POST", url, content=body.encode("ascii"), headers=sent, read=read, secrets=(token,))
        found = answer.json()
        if not isinstance(found, dict) or "ok" not in found:
            said = (
                f"{safe_url(url)} did not answer {api_method} as Slack does; check `api_url` and the proxies in between"
            )
            raise self._sender.failure(said, "bad_answer")
        response = SlackResponse(
            client=self,
            http_verb="POST",
            api_url=str(url),
            req_args={},
            data=cast(dict[str, Any], found),
            headers=dict(answer.headers),
            status_code=answer.status,
        )
        response.validate()  # type: ignore[no-untyped-call]
        return response

    def upload(self, address: str, content: bytes, kind: str) -> None:
        """Send a file to the address that ``files.getUploadURLExternal`` gave."""
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            raise self._sender.failure("Slack gave no usable address for the upload", "bad_answer") from None
        self._sender.send("POST", url, content=content, headers={"Content-Type": kind}, read=0)

    def delivery_error(self, error: SlackApiError, what: str) -> DeliveryError:
        """Meaning of a refusal for the delivery; ``what`` says where."""
        code = code_of(error)
        refusal = refusal_of(code)
        needed = re.sub(r"[^\w:,.]", "", str(error.response.get("needed") or ""))[:100]
        lacking = f" ({needed})" if needed else ""
        said = f"Slack refused to post to {what}: {code or 'it says no more'}{lacking}; {refusal.remedy}"
        wait = retry_after(error.response.headers.get("retry-after"), self._now())
        return self._sender.failure(said, refusal.reason, recoverable=refusal.recoverable, retry_after=wait)


def code_of(error: SlackApiError) -> str:
    """Slack's error code; empty where it is none."""
    code = error.response.get("error")
    return code if isinstance(code, str) and re.fullmatch(r"[a-zA-Z0-9_-]{1,60}", code) else ""


def _form(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is not given; truth values as Slack takes them in forms."""
    given = {key: value for key, value in values.items() if value is not None}
    return {key: str(int(value)) if isinstance(value, bool) else value for key, value in given.items()}
