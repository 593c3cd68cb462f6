"""Events as alerts of the Prometheus Alertmanager."""

from tsdiff_alerts.alertmanager.notifier import AlertmanagerNotifier

__all__ = ["AlertmanagerNotifier"]
