"""From trained PyTorch parts to the ONNX graphs of a bundle."""
