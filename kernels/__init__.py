"""GPU kernels: one operation a file, a Triton kernel with its launcher and float64 reference beside it."""
