"""Llama layers with 8-bit weights and activations, for inference on a GPU with the kernel of `kernels/int8_linear`.

Weights have a scale for each output channel, activations one for each token, found as they come: no calibration, the
"per-token dynamic" scheme of SmoothQuant (arXiv 2211.10438, table 2). A deployed bundle has 8-bit graphs of its own
(`vljepa_edge.export`); this is the same idea for those who run the model in PyTorch.
"""

from __future__ import annotations

import copy
from typing import TypeVar

from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.ops.int8_linear import int8_linear, quantise_weight
from vljepa_edge.nn.llama import GatedLinear, LlamaLayer

Model = TypeVar("Model", bound=nn.Module)


class W8A8Linear(nn.Module):
    """A linear layer, or one with SwiGLU after it, in 8 bits: (..., K) in fp16, bf16 or fp32 -> (..., N) in x's type.

    Raises InputError where a gradient would have to pass it, and where its fp32 scale was cast to another type.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight, scale = quantise_weight(linear.weight.detach())
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())
        self.gated = isinstance(linear, GatedLinear)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = int8_linear(x, self.weight, self.scale, self.bias, swiglu=self.gated)
        return y


def to_w8a8(model: Model) -> Model:
    """A copy of a Predictor, a LlamaStack or anything with Llama layers in it, all linear layers of those in 8 bits.

    What surrounds the layers stays: it is a small part of the work and the part that hurts. Cast and move the model
    first. Raises InputError if there are no Llama layers.
    """
    copied = copy.deepcopy(model).requires_grad_(False)
    layers = [module for module in copied.modules() if isinstance(module, LlamaLayer)]
    if not layers:
        raise InputError(f"{type(model).__name__} has no Llama layers to quantise")
    for layer in layers:
        for name, child in list(layer.named_children()):
            if isinstance(child, nn.Linear):
                setattr(layer, name, W8A8Linear(child))
    return copied
