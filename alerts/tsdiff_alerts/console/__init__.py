"""Events as lines on the terminal."""

from tsdiff_alerts.console.notifier import ConsoleNotifier

__all__ = ["ConsoleNotifier"]
