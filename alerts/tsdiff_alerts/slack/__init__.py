"""Events in Slack: one message each, kept up to date, with a thread for what changes."""

from __future__ import annotations

from tsdiff_alerts.slack.notifier import SlackNotifier

__all__ = ["SlackNotifier"]
