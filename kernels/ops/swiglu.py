"""SwiGLU on one projection's output: its first half gates its second, forward and backward.

    y = silu(gate) * up,    silu(z) = z s(z),    s(z) = 1 / (1 + exp(-z))          (arXiv 2002.05202)

Backward: dgate = dy up s(gate) (1 + gate (1 - s(gate))), dup = dy silu(gate), written where gate and up lie. Fused, the
activation is read once and written once; PyTorch's silu and product write silu(gate) and read it back.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.tiles import tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton


@triton.jit
def forward_kernel(GATE_UP, Y, gate_up_row, width, BLOCK: tl.constexpr):
    """y = silu(gate) * up. Grid (rows, blocks of width)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    place = GATE_UP + row * gate_up_row + column
    gate = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(place + width, mask=inside, other=0.0).to(tl.float32)
    tl.store(Y + row * width + column, (gate * tl.sigmoid(gate) * up).to(Y.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(GATE_UP, DY, DGATE_UP, gate_up_row, dy_row, width, BLOCK: tl.constexpr):
    """dgate = dy up s (1 + gate (1 - s)), dup = dy silu(gate). Grid (rows, blocks of width)."""
    row = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = column < width
    place = GATE_UP + row * gate_up_row + column
    gate = tl.load(place, mask=inside, other=0.0).to(tl.float32)
    up = tl.load(place + width, mask=inside, other=0.0).to(tl.float32)
    dy = tl.load(DY + row * dy_row + column, mask=inside, other=0.0).to(tl.float32)
    s = tl.sigmoid(gate)
    target = DGATE_UP + row * (2 * width) + column
    tl.store(target, (dy * up * s * (1.0 + gate * (1.0 - s))).to(DGATE_UP.dtype.element_ty), mask=inside)
    tl.store(target + width, (dy * gate * s).to(DGATE_UP.dtype.element_ty), mask=inside)


def swiglu(gate_up: Tensor) -> Tensor:
    """gate_up (..., 2 width) -> silu(first half) * second half, (..., width). Raises InputError if it is odd."""
    if gate_up.ndim < 1 or gate_up.shape[-1] % 2:
        raise InputError(f"gate_up must be (..., 2 * width), not {tuple(gate_up.shape)}")
    if takes_kernel(gate_up):
        y: Tensor = _gated(gate_up)
        return y
    return torch_form(gate_up)


def torch_form(gate_up: Tensor) -> Tensor:
    """The same in PyTorch, and in every exported graph."""
    gate, up = gate_up.split(gate_up.shape[-1] // 2, dim=-1)
    activated: Tensor = F.silu(gate) * up
    return activated


def reference(gate_up: Tensor) -> Tensor:
    """The same in float64, from the definition."""
    gate, up = gate_up.double().chunk(2, dim=-1)
    return gate / (1 + (-gate).exp()) * up


def launch_swiglu(gate_up: Tensor) -> Tensor:
    width = gate_up.shape[-1] // 2
    y = torch.empty((*gate_up.shape[:-1], width), dtype=gate_up.dtype, device=gate_up.device)
    flat = _rows(gate_up)
    tile = tiles("swiglu", gate_up)
    grid = (len(flat), cdiv(width, tile.block_m))
    launch(forward_kernel, grid, flat, y, flat.stride(0), width, **tile.options("BLOCK"))
    return y


def launch_swiglu_backward(gate_up: Tensor, dy: Tensor) -> Tensor:
    width = gate_up.shape[-1] // 2
    gradient = torch.empty(gate_up.shape, dtype=gate_up.dtype, device=gate_up.device)
    flat, given = _rows(gate_up), _rows(dy)
    tile = tiles("swiglu_backward", gate_up)
    launch(
        backward_kernel, (len(flat), cdiv(width, tile.block_m)), flat, given, gradient,
        flat.stride(0), given.stride(0), width, **tile.options("BLOCK"),
    )  # fmt: skip
    return gradient


_gated = torch.library.custom_op("vljepa::swiglu", launch_swiglu, mutates_args=())
_gradient = torch.library.custom_op("vljepa::swiglu_backward", launch_swiglu_backward, mutates_args=())


@_gated.register_fake
def _(gate_up: Tensor) -> Tensor:
    shape = (*gate_up.shape[:-1], gate_up.shape[-1] // 2)
    return torch.empty(shape, dtype=gate_up.dtype, device=gate_up.device)


@_gradient.register_fake
def _(gate_up: Tensor, dy: Tensor) -> Tensor:
    return torch.empty(gate_up.shape, dtype=gate_up.dtype, device=gate_up.device)


def _rows(x: Tensor) -> Tensor:
    """x as (rows, width), its rows contiguous; a copy only where a view can't be."""
    flat = x.reshape(-1, x.shape[-1])
    return flat if flat.stride(-1) == 1 else flat.contiguous()


def _save(ctx: object, inputs: tuple[Tensor], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])  # type: ignore[attr-defined]


def _backward(ctx: object, dy: Tensor) -> Tensor:
    return _gradient(ctx.saved_tensors[0], dy)  # type: ignore[attr-defined,no-any-return]


_gated.register_autograd(_backward, setup_context=_save)
