"""The conditional diffusion imputation model.

Legend of shapes, here and in every module below: B windows, S samples, L rows of a window, K metrics, C channels.
"""
