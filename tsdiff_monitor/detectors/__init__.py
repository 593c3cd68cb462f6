"""Fitted models of groups: the diffusion detector, baselines, and the published reference procedure."""
