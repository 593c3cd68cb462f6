"""The reference mode: the procedure of CSDI and ImDiffusion as their papers give it, for side-by-side figures.

It is slow on purpose: two complementary masks times 50 denoising steps per window, where the product's own detector
evaluates its network once per mask. Legend of shapes: B windows, V voting steps, T rows of a frame, L rows of a window,
K metrics, C channels, H steps of the noise schedule.
"""
