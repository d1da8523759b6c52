"""A bundle to TensorRT engines, on the device that runs them."""
