"""GPU kernels: one operation a file, a Triton kernel with its launcher and float64 reference beside it.

Each operation is the function that its file is named after. Tensors on a CUDA device take the kernel where Triton is
installed; everything else, and every ONNX export, takes the PyTorch form. `VLJEPA_KERNELS=off` forces PyTorch. The
kernels were run in Triton's interpreter and compiled for the architectures in gate.json; none was ever run or timed on
a GPU: see docs/kernels.md.
"""
