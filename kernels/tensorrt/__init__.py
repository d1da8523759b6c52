"""The predictor's attention and pooling tail as TensorRT plugins."""
