"""Compiling, checking and tuning the kernels, with and without a GPU."""
