"""ONNX operations (opset 13 to 23) in PyTorch, as far as exporters use them for convolutional nets and transformers.

Each takes the node's inputs in order (None where one is left out) and its attributes by name, both as the ONNX
specification calls them, and returns one tensor or a tuple. An attribute that isn't in the signature is an error.
"""

from __future__ import annotations

from vljepa_edge.engines.torch.ops import convolution, elementwise, indexing, normalisation, quantisation, reductions
from vljepa_edge.engines.torch.ops.attributes import Op

__all__ = ["OPS", "Op"]

OPS: dict[str, Op] = {
    **convolution.OPS,
    **elementwise.OPS,
    **indexing.OPS,
    **normalisation.OPS,
    **quantisation.OPS,
    **reductions.OPS,
}
