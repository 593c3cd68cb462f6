"""Replays of history through the production pipeline."""
