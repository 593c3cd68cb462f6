"""Events as JSON to an address of the user's own, signed, or after a template."""

from tsdiff_alerts.webhook.notifier import WebhookNotifier

__all__ = ["WebhookNotifier"]
