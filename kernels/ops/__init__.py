"""One operation a file: the Triton kernel, its launcher and its float64 reference."""
