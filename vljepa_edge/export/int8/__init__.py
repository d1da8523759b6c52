"""A bundle in floating point to the same bundle in INT8, measured and compared."""
