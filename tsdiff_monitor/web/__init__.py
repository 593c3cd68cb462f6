"""What the process shows over HTTP: its health, its metrics, its events."""
