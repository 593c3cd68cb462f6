"""Frames, scores and tables of regular time series."""
