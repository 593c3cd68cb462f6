"""Shared by readers of series: grouping into frames, and a cache of the rows already read."""
