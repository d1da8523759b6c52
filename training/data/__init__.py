"""Training data of any kind: sources of samples, their frames, which sample each step takes, batches."""
