"""The process over HTTP: its health, its metrics, its events."""
