"""The notifier keeps the promises of every notifier, and speaks as ntfy wants it."""

import json

from tsdiff_monitor.plugins import Change, Context, Severity, load_plugin
from tsdiff_monitor.testing import HttpNotifierConformance, example_change
from tsdiff_ntfy import NtfyNotifier

CONFIG = NtfyNotifier.Config(topic="alarms-7Kd2", authorization={"credentials": "tk_8fs"})


class TestNtfy(HttpNotifierConformance):
    secrets = ("alarms-7Kd2", "tk_8fs")

    def make(self, context: Context) -> NtfyNotifier:
        return NtfyNotifier(CONFIG, context)

    def test_a_critical_event_rings(self) -> None:
        """Its priority is ntfy's highest, and the values are in the text; its end is quiet."""
        (request,) = self.requests(example_change(severity=Severity.critical))
        note = json.loads(request.content)
        assert (request.url.host, note["topic"], note["priority"]) == ("ntfy.sh", "alarms-7Kd2", 5)
        assert request.headers["Authorization"] == "Bearer tk_8fs"
        assert "cpu: 93.1, expected 48.3" in note["message"]
        (request,) = self.requests(example_change(Change.resolved))
        assert json.loads(request.content)["priority"] == 2


def test_it_is_installed() -> None:
    """`type: ntfy` is this class."""
    assert load_plugin("notifiers", "ntfy") is NtfyNotifier
