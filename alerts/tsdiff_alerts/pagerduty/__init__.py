"""Events as PagerDuty incidents."""

from tsdiff_alerts.pagerduty.notifier import PagerDutyNotifier

__all__ = ["PagerDutyNotifier"]
