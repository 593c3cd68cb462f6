"""Events as mails over SMTP."""

from tsdiff_alerts.email.notifier import EmailNotifier

__all__ = ["EmailNotifier"]
