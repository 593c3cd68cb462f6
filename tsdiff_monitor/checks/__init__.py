"""What the sources of a monitor really hold, and what to change in the configuration because of it."""
