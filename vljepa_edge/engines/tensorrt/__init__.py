"""TensorRT on NVIDIA GPUs: the engine, the CUDA calls it makes, and the folder of plans it reads."""
