"""Events as annotations on Grafana's dashboards."""

from tsdiff_alerts.grafana.notifier import GrafanaNotifier

__all__ = ["GrafanaNotifier"]
