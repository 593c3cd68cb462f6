"""Stand-ins for the services that notifiers speak to, each on a free port of the loopback interface."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.alerts.grafana.grafana_server import GrafanaServer
from tests.alerts.slack.slack_server import SlackServer


@pytest.fixture
def slack() -> Iterator[SlackServer]:
    """Slack with the channels ``#alerts`` and ``#other``, which a bot with the token ``xoxb-good`` has joined."""
    with SlackServer() as server:
        yield server


@pytest.fixture
def grafana() -> Iterator[GrafanaServer]:
    """Grafana with the dashboard ``hosts`` and the service account token ``glsa_good``."""
    with GrafanaServer() as server:
        yield server
