"""A GRU in compiled loops: its arithmetic in `kernel`, torch's module in `layer`, Darts' network in `module`.

All but `compiler` import numba, torch or Darts: import them where a network is built.
"""
