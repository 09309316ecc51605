"""A GRU in compiled loops: `layer` has the module, `kernel` its arithmetic, `compiler` what its bits depend on.

`kernel` imports numba and `layer` torch: import them where a network is built.
"""
