"""Fires alerts in Prometheus' Alertmanager and resolves them, as Prometheus itself would.

API: https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml (``POST /api/v2/alerts``).
What the labels are, and why the severity is one of them: ``docs/notifiers.md``.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

import httpx
import pandas as pd
import structlog
from pydantic import AfterValidator, Field, field_validator

from tsdiff_alerts.alertmanager.labels import LABEL, OWN_LABELS, annotations_of, labels_of, link_of
from tsdiff_alerts.message.phrases import json_text
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import ANOMALY, EventChange
from tsdiff_monitor.http.address import parse_url, safe_url
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.options import ServerOptions
from tsdiff_monitor.plugins import Context, Receipt
from tsdiff_monitor.settings.durations import Duration

__all__ = ["AlertmanagerNotifier"]

_PATH = "/api/v2/alerts"
_BATCH = 200  # alerts in one post, of a few kilobytes each
_LAPSE_ROUNDS = 4  # as Prometheus: an alert survives three posts that were lost
_KEEP_RESOLVED = timedelta(minutes=15)  # as Prometheus
_REMEDIES = {
    401: "check `basic_auth` or `authorization`",
    403: "check `basic_auth` or `authorization`",
    404: "check `urls`: an Alertmanager's address, without /api/v2/alerts",
}

Labels = tuple[tuple[str, str], ...]

_log = structlog.get_logger(__name__)


def _peer(url: str) -> str:
    found = parse_url(url)
    if found is None:
        raise ValueError("an address is written like http://alertmanager:9093")
    if found.userinfo:
        raise ValueError("credentials do not belong into `urls`; use `basic_auth`")
    if found.query or found.fragment:
        raise ValueError(f"{url}: an Alertmanager's address has no part after ? or #; remove it")
    if found.path.rstrip("/").endswith("/alerts"):
        raise ValueError(f"{url}: leave out {_PATH}, it is added")
    return url


class AlertmanagerNotifier:
    """A notifier that keeps one alert per event firing in every Alertmanager of a cluster."""

    keeps_receipts: ClassVar[bool] = True

    class Config(ServerOptions):
        """Alerts in Alertmanager (API v2, so 0.16 or newer)."""

        urls: tuple[Annotated[str, AfterValidator(_peer)], ...] = Field(min_length=1)
        """All peers of the cluster, like `http://alertmanager:9093`: each is posted to, as Prometheus does."""
        alertname: str = Field(default="AbnormalMetrics", min_length=1)
        """The label `alertname`, alike for all alerts."""
        labels: dict[str, str] = Field(default_factory=dict)
        """Labels added to each alert, such as `team`; those of the group go before them."""
        severity_as: Literal["label", "annotation"] = "label"
        """`label`: routes can distinguish severities, and a rise resolves the alert and fires another. `annotation`: it
        stays one alert."""
        resend_every: Duration = timedelta(minutes=1)
        """Time until alerts are posted again; one that is not posted for four times as long counts as resolved."""

        @field_validator("labels")
        @classmethod
        def _labels_that_count(cls, labels: dict[str, str]) -> dict[str, str]:
            for name, value in labels.items():
                if not LABEL.fullmatch(name):
                    raise ValueError(f"{name!r} is no label name; use letters, digits and _, not a digit first")
                if name in OWN_LABELS:
                    raise ValueError(f"the label {name} is set by the notifier itself; remove it")
                if not value:
                    raise ValueError(f"the label {name} has no value; Alertmanager drops empty labels")
            return labels

        @field_validator("resend_every")
        @classmethod
        def _not_too_often(cls, span: timedelta) -> timedelta:
            if span < timedelta(seconds=1):
                raise ValueError("it must be a second at least, like 1m")
            return span

    def __init__(self, config: Config, context: Context) -> None:
        self._config = config
        self._context = context
        self._sender = DeliveryClient(config, context, kind="alertmanager")
        self._peers = [_endpoint(url) for url in config.urls]
        self._lock = threading.Lock()
        self._firing: dict[Labels, tuple[pd.Timestamp, str]] = {}
        self.failed_posts: Counter[str] = Counter()
        """Posts that a peer did not take since the start, by its address."""

    @property
    def refresh_every(self) -> timedelta:
        """Interval between calls of :meth:`refresh`."""
        return self._config.resend_every

    @property
    def keep_resolved(self) -> timedelta:
        """For how long resolved alerts are sent again, as Prometheus does."""
        return _KEEP_RESOLVED

    def notify(self, change: EventChange, receipt: Receipt | None = None) -> Receipt | None:
        """Fire or resolve the event's alert. Raises :class:`DeliveryError` when no peer took it.

        The receipt holds the severity that the alert was last fired with: when it rose, the alert of the former one is
        resolved in the same post.
        """
        current = change.event.severity.value
        if not self._takes_over(change):
            return receipt
        alerts = [self._alert(change)]
        former = (receipt or {}).get("severity", current)
        if former != current and self._config.severity_as == "label":
            alerts.insert(0, self._superseded(change, former))
            with self._lock:
                self._firing.pop(self._identity(change, former), None)
        self._post_everywhere(alerts)
        return {"severity": current}

    def refresh(self, changes: Sequence[EventChange]) -> None:
        """Post the newest state of these events again. Raises :class:`DeliveryError` when no peer took it.

        Where two events of one group share an alert, the newer one's state is the alert's.
        """
        alerts: dict[Labels, Any] = {}
        for change in sorted(changes, key=lambda change: change.event.start):
            if self._takes_over(change):
                alerts[self._identity(change, change.event.severity.value)] = self._alert(change)
        posted = list(alerts.values())
        for first in range(0, len(posted), _BATCH):
            self._post_everywhere(posted[first : first + _BATCH])

    def close(self) -> None:
        """Close the connections that are kept open between posts."""
        self._sender.close()

    def _takes_over(self, change: EventChange) -> bool:
        """True where the alert is this event's to change: not when a newer event of the group has it by now.

        A late retry would otherwise resolve what is firing.
        """
        event, identity = change.event, self._identity(change, change.event.severity.value)
        mine = (event.start, event.id)
        with self._lock:
            owner = self._firing.get(identity, mine)
            if owner > mine:
                return False
            if event.end is None:
                self._firing[identity] = mine
            else:
                self._firing.pop(identity, None)
        return True

    def _identity(self, change: EventChange, severity: str) -> Labels:
        return tuple(sorted(self._labels(change, severity).items()))

    def _labels(self, change: EventChange, severity: str) -> dict[str, str]:
        own = {"alertname": self._config.alertname, "monitor": change.event.monitor}
        if change.event.kind != ANOMALY:  # a group may be absent while an anomaly of it is still open
            own["kind"] = change.event.kind
        if change.event.members:  # two incidents of one monitor may have the same labels in common
            own["incident"] = change.event.id
        if self._config.severity_as == "label":
            own["severity"] = severity
        return labels_of(change.event.group, own, self._config.labels)

    def _alert(self, change: EventChange) -> dict[str, Any]:
        """The alert as the API wants it: https://prometheus.io/docs/alerting/latest/clients/."""
        event, now = change.event, self._now()
        lapses = now + _LAPSE_ROUNDS * pd.Timedelta(self._config.resend_every)
        end = lapses if event.end is None else min(event.end, now)  # an end to come would count as firing
        alert: dict[str, Any] = {
            "labels": self._labels(change, event.severity.value),
            "annotations": annotations_of(change),
            "startsAt": event.start.isoformat(),
            "endsAt": max(end, event.start).isoformat(),
        }
        link = link_of(change)
        return {**alert, "generatorURL": link} if link else alert

    def _superseded(self, change: EventChange, former: str) -> dict[str, Any]:
        """The resolution of the alert with the former severity, in words that do not sound like an all-clear."""
        said = f"This goes on as an alert of severity {change.event.severity.value}."
        now = max(self._now(), change.event.start).isoformat()
        alert = self._alert(change)
        annotations = {**alert["annotations"], "description": said}
        return {**alert, "labels": self._labels(change, former), "annotations": annotations, "endsAt": now}

    def _now(self) -> pd.Timestamp:
        return pd.Timestamp(self._context.now(), unit="s", tz="UTC")

    def _post_everywhere(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        body = json_text(alerts).encode("utf-8", "replace")
        failures = [failure for url in self._peers if (failure := self._post(url, body)) is not None]
        if len(failures) == len(self._peers):
            raise _worst_last(failures, self._sender.failure)

    def _post(self, url: httpx.URL, body: bytes) -> DeliveryError | None:
        try:
            answer = self._sender.send("POST", url, content=body, accept=(400,), remedies=_REMEDIES)
            if answer.status != 400:
                return None
            said = answer.json()
            said = " ".join(str(said if said is not None else answer.text).split())[:300]
            message = f"{safe_url(url)} answered 400: {said or 'the alerts were refused'}"
            failure = self._sender.failure(message, "client_error", recoverable=False)
        except DeliveryError as error:
            failure = error
        self.failed_posts[safe_url(url)] += 1
        if len(self._peers) > 1:  # the only one's failure is the delivery's
            _log.warning(
                "an Alertmanager did not take an alert",
                notifier=self._context.name,
                peer=safe_url(url),
                reason=failure.reason,
                failures=self.failed_posts[safe_url(url)],
                error=str(failure),
            )
        return failure


def _endpoint(url: str) -> httpx.URL:
    base = httpx.URL(url.strip())
    return base.copy_with(path=base.path.rstrip("/") + _PATH)


def _worst_last(failures: Sequence[DeliveryError], failure: Callable[..., DeliveryError]) -> DeliveryError:
    """One error for all peers: recoverable if one of them may recover, after the shortest wait asked for."""
    if len(failures) == 1:
        return failures[0]
    hopeful = next((one for one in failures if one.recoverable), failures[0])
    waits = [one.retry_after for one in failures if one.retry_after is not None]
    message = "no Alertmanager took it: " + "; ".join(str(one).partition(": ")[2] for one in failures)
    return failure(message, hopeful.reason, recoverable=hopeful.recoverable, retry_after=min(waits) if waits else None)
