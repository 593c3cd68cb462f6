"""The diffusion detector: configuration, files, fit and scores."""
