"""The demonstration: its configuration and a small Slack server."""
