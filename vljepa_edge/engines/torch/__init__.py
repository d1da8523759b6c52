"""PyTorch as the reference engine."""
