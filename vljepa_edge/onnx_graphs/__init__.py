"""Rewriting and checking ONNX graphs without PyTorch."""
