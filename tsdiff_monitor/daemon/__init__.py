"""The daemon: when each monitor is scored, fit and reported, and how the process starts and stops."""
