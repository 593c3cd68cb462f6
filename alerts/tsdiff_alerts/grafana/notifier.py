"""Marks each event in Grafana as one region annotation, opened and later closed.

API: https://grafana.com/docs/grafana/latest/developers/http_api/annotations/
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import httpx
from pydantic import Field, SecretStr, StringConstraints, model_validator

from tsdiff_alerts.message.explanation import explanation_text
from tsdiff_alerts.message.phrases import (
    culprit_text,
    headline,
    json_text,
    link_items,
    rate_text,
    share_text,
    shorten,
    span_text,
    sureness_text,
    top_culprits,
)
from tsdiff_monitor.events.event import Event, EventChange
from tsdiff_monitor.http.address import Url, safe_url
from tsdiff_monitor.http.client import HttpResponse
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.options import ConnectionOptions
from tsdiff_monitor.plugins import Context, Receipt

__all__ = ["GrafanaNotifier"]

_TAG = 100  # characters: Grafana keeps a tag's name and its value in columns of this length
_TAGS, _USER_TAGS = 490, 250  # characters of all tags as JSON: Grafana refuses more than 500 (`tags_length`)
_CREDENTIALS = "check `token`: a service account's, with the role Editor or the permission annotations:write"
_REMEDIES = {401: _CREDENTIALS, 403: _CREDENTIALS, 404: "check `url`: the address of Grafana's front page"}
_NOT_FOUND, _ABSENT = 404, (403, 404)


class GrafanaNotifier:
    """A notifier for Grafana. Its receipts: ``id`` of the annotation."""

    class Config(ConnectionOptions):
        """Annotations in Grafana."""

        url: Url
        """Grafana's address, as in the browser: `https://grafana.example`, with the sub-path where it has one."""
        token: SecretStr | None = None
        """Token of a service account (`glsa_...`); better given as `token_file` or as `${NAME}`."""
        token_file: Path | None = None
        """File that holds the token; read again at each request."""
        dashboard_uid: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_-]{1,40}$")] | None = None
        """The dashboard to mark (the part of its address after `/d/`). Left out: the whole organisation, to be shown on
        any dashboard by an annotation query for the tag `tsdiff`."""
        panel_id: int | None = Field(default=None, ge=1)
        """The panel of that dashboard to mark; left out: all of them."""
        tags: list[Annotated[str, StringConstraints(min_length=1, max_length=_TAG)]] = Field(default=[])
        """Tags added to those of the event."""

        @model_validator(mode="after")
        def _fits_together(self) -> Self:
            if self.token is None and self.token_file is None:
                raise ValueError("give `token` or `token_file`")
            if httpx.URL(self.url.get_secret_value().strip()).userinfo:
                raise ValueError("`url` must hold no user name or password: they would take the place of the token")
            if self.panel_id is not None and self.dashboard_uid is None:
                raise ValueError("`panel_id` needs the `dashboard_uid` that the panel is on")
            if _length(self.tags) > _USER_TAGS:
                raise ValueError(f"`tags` are too long: {_USER_TAGS} characters in all, with 3 more for each")
            return self

    keeps_receipts: ClassVar[bool] = True

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._sender = DeliveryClient(config, context, kind="grafana")

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        """Draw the event's region, or move its end. Raises :class:`DeliveryError`.

        A region that was deleted is drawn anew. One that was drawn by a delivery without a receipt is found again.
        """
        body = _annotation(change, self._config.tags)
        known = (receipt or {}).get("id")
        if known is not None and self._patched(known, body):
            return {"id": known}
        found = self._earlier(change.event)
        if found is not None:
            if found != known and self._patched(found, body):
                return {"id": found}
            raise self._failure(f"the annotation {found} must not be changed; {_CREDENTIALS}", "client_error")
        if self._config.dashboard_uid is not None:
            self._check_dashboard(self._config.dashboard_uid)
            body["dashboardUID"] = self._config.dashboard_uid
            if self._config.panel_id is not None:
                body["panelId"] = self._config.panel_id
        made = self._call("POST", "annotations", body).json()
        number = made.get("id") if isinstance(made, dict) else None
        if not isinstance(number, int):
            raise self._failure("the answer names no annotation; is `url` Grafana's?", "bad_answer", recoverable=True)
        return {"id": str(number)}

    def close(self) -> None:
        """Close the connections that are kept open between requests."""
        self._sender.close()

    def _patched(self, number: str, body: dict[str, Any]) -> bool:
        """True where the annotation could be changed: to an editor, one that was deleted is forbidden, not missing."""
        return self._call("PATCH", f"annotations/{number}", body, accept=_ABSENT, read=0).status not in _ABSENT

    def _earlier(self, event: Event) -> str | None:
        """The annotation of an earlier delivery of this event, if it may be looked for."""
        query = {"tags": _event_tag(event), "type": "annotation", "limit": "1"}
        found = self._call("GET", "annotations", query=query, accept=_ABSENT).json()
        first = found[0] if isinstance(found, list) and found else None
        number = first.get("id") if isinstance(first, dict) else None
        return str(number) if isinstance(number, int) else None

    def _check_dashboard(self, uid: str) -> None:
        """Grafana would silently mark the whole organisation instead of a dashboard that does not exist."""
        answer = self._call("GET", f"dashboards/uid/{uid}", accept=_ABSENT, read=0)
        if answer.status == _NOT_FOUND:
            raise self._failure(f"there is no dashboard {uid}; check `dashboard_uid`", "not_found")

    def _call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, str] | None = None,
        accept: tuple[int, ...] = (),
        read: int = 1 << 16,
    ) -> HttpResponse:
        token = self._sender.resolved(self._config.token, self._config.token_file) or ""
        bearer = self._sender.header_value(token.strip(), "`token`")
        headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/json"}
        base = self._sender.address(self._config.url, None)
        url = base.copy_with(path=f"{base.path.rstrip('/')}/api/{path}", query=None, fragment=None)
        content = b"" if body is None else json_text(body).encode()
        return self._sender.send(
            method,
            url,
            params=query,
            content=content,
            headers=headers,
            accept=accept,
            read=read,
            remedies=_REMEDIES,
            secrets=(bearer,),
        )

    def _failure(self, said: str, reason: str, *, recoverable: bool = False) -> Exception:
        where = safe_url(httpx.URL(self._config.url.get_secret_value().strip()))
        return self._sender.failure(f"{where}: {said}", reason, recoverable=recoverable)


def _annotation(change: EventChange, tags: list[str]) -> dict[str, Any]:
    """The region as it is now: while the event lasts it ends at the newest row seen."""
    event = change.event
    end = max(event.end or event.last, event.start)
    kept = ["tsdiff", _event_tag(event), f"severity:{event.severity.value}", f"monitor:{event.monitor}"]
    kept = list(dict.fromkeys(shorten(tag, _TAG) for tag in [*kept, *tags]))
    for label, value in event.group:  # as many as Grafana takes
        tag = shorten(f"{label}:{value}", _TAG)
        if tag not in kept and _length([*kept, tag]) <= _TAGS:
            kept.append(tag)
    return {
        "time": _milliseconds(event.start),
        "timeEnd": _milliseconds(end),
        "tags": kept,
        "text": _text(change),
    }


def _length(tags: list[str]) -> int:
    """Bytes of the tags as JSON, as Grafana counts them: it escapes three signs with six."""
    encoded = json_text(tags)
    return len(encoded.encode()) + 5 * sum(encoded.count(sign) for sign in "<>&")


def _event_tag(event: Event) -> str:
    return f"event:{event.id}"


def _text(change: EventChange) -> str:
    """The tooltip. Grafana shows it as HTML, cleaned of scripts but not of links and pictures: labels are escaped."""
    event = change.event
    named, left = top_culprits(event)
    lines = [_plain(headline(change)), span_text(event), sureness_text(event)]
    lines += [f"{_plain(one.metric)}: {culprit_text(one)} ({share_text(one)})" for one in named]
    lines += [f"and {left} more"] if left else []
    lines += [explained] if (explained := explanation_text(event, _plain)) else []
    lines += [rate] if (rate := rate_text(change.details)) else []
    links = [f'<a href="{escape(url)}">{_plain(name)}</a>' for name, url in link_items(change.details)]
    return "<br>".join([*lines, " · ".join(links)] if links else lines)


def _plain(text: str) -> str:
    return escape(shorten(re.sub(r"\s+", " ", text), 200))


def _milliseconds(time: Any) -> int:
    return int(time.as_unit("ns").value // 1_000_000)
