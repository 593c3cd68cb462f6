"""From imputations to a calibrated anomaly score with its culprits.

Legend of shapes: T rows of a frame, L rows of a window, K metrics, B windows, S samples.
"""
