"""Baselines: what a metric does is forecast from its own past alone, and the residual is the score.

Fit in a second from an hour of rows, they score a group until its diffusion model has been fit, and stand beside it for
comparison. Legend of shapes: T rows of a frame, K metrics, P bins of a seasonal profile.
"""
