"""RMSNorm over the last axis, alone or with the residual addition before it, forward and backward.

    h = x + delta            (delta, what a layer's branch adds, may be absent)
    r = 1 / sqrt(mean(h^2) + eps)
    y = weight * (h r)       computed in fp32 whatever the type is: the square overflows fp16 above 256

Backward, g = dy * weight and n the width (arXiv 1910.07467, section 4, differentiated):

    dh = r (g - h r^2 <g, h> / n) + dh'       dweight = sum over rows of dy * h r

dh' is the gradient that reaches h by its other use, the residual stream. Fusing the addition saves one read of h: the
sum is still in registers when it is squared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.tiles import key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, next_power_of_2, tl, triton

MAX_WIDTH = 8192
"""A row is held in registers."""
BACKWARD_PROGRAMS = 256
"""Programs of the backward pass; each keeps a partial dweight, and PyTorch adds them in one order."""


@triton.jit
def forward_kernel(
    X, DELTA, WEIGHT, SUM, Y, x_row, delta_row, rows, width, eps, ROWS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """y = weight * h / rms(h), h = x + delta rounded to its type and stored in SUM. Grid (blocks of rows)."""
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    inside = (row[:, None] < rows) & (column[None, :] < width)
    h = tl.load(X + row[:, None] * x_row + column[None, :], mask=inside, other=0.0).to(tl.float32)
    place = row[:, None] * width + column[None, :]
    if DELTA is not None:
        h += tl.load(DELTA + row[:, None] * delta_row + column[None, :], mask=inside, other=0.0).to(tl.float32)
        rounded = h.to(SUM.dtype.element_ty)
        tl.store(SUM + place, rounded, mask=inside)
        h = rounded.to(tl.float32)
    scale = 1.0 / tl.sqrt(tl.sum(h * h, 1) / width + eps)
    weight = tl.load(WEIGHT + column, mask=column < width, other=0.0).to(tl.float32)
    y = h * scale[:, None] * weight[None, :]
    tl.store(Y + place, y.to(Y.dtype.element_ty), mask=inside)


@triton.jit
def backward_kernel(
    H, WEIGHT, DY, DSUM, DH, DWEIGHT, h_row, dy_row, dsum_row, rows, width, eps, blocks,
    ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """dh = r (g - h r^2 <g, h> / n) + dsum, and this program's part of dweight. Grid (programs)."""
    column = tl.arange(0, WIDTH)
    weight = tl.load(WEIGHT + column, mask=column < width, other=0.0).to(tl.float32)
    partial = tl.zeros((WIDTH,), tl.float32)
    first = tl.program_id(0).to(tl.int64) * blocks
    for block in range(blocks):
        row = (first + block) * ROWS + tl.arange(0, ROWS)
        inside = (row[:, None] < rows) & (column[None, :] < width)
        h = tl.load(H + row[:, None] * h_row + column[None, :], mask=inside, other=0.0).to(tl.float32)
        dy = tl.load(DY + row[:, None] * dy_row + column[None, :], mask=inside, other=0.0).to(tl.float32)
        scale = 1.0 / tl.sqrt(tl.sum(h * h, 1) / width + eps)
        normed = h * scale[:, None]
        partial += tl.sum(dy * normed, 0)
        g = dy * weight[None, :]
        dh = scale[:, None] * (g - normed * (tl.sum(g * normed, 1) / width)[:, None])
        if DSUM is not None:
            dh += tl.load(DSUM + row[:, None] * dsum_row + column[None, :], mask=inside, other=0.0).to(tl.float32)
        tl.store(DH + row[:, None] * width + column[None, :], dh.to(DH.dtype.element_ty), mask=inside)
    tl.store(DWEIGHT + tl.program_id(0) * width + column, partial, mask=column < width)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x (..., width) -> weight * x / rms(x) of the same shape. Raises InputError for shapes that don't fit."""
    if _kernel_fits(x, weight):
        _check(x, weight, None)
        y: Tensor = _normed(x, weight, eps)
        return y
    return torch_form(x, weight, eps)


def add_rms_norm(x: Tensor, delta: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x, delta (..., width) -> (x + delta, its RMSNorm). Raises InputError for shapes that don't fit."""
    if _kernel_fits(x, weight, delta):
        _check(x, weight, delta)
        added, normed = _added_and_normed(x, delta, weight, eps)
        return added, normed
    added = x + delta
    return added, torch_form(added, weight, eps)


def torch_form(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """The same in PyTorch, and in every exported graph."""
    y: Tensor = x.float()
    y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + eps)
    return weight * y.to(x.dtype)


def reference(x: Tensor, weight: Tensor, eps: float, delta: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(x + delta, its RMSNorm) in float64, from the definition."""
    h = x.double() if delta is None else x.double() + delta.double()
    rms = (torch.linalg.vector_norm(h, dim=-1, keepdim=True) ** 2 / h.shape[-1] + eps).sqrt()
    return h, h / rms * weight.double()


def _kernel_fits(x: Tensor, weight: Tensor, delta: Tensor | None = None) -> bool:
    """fp32 weights over 16-bit activations promote in PyTorch; the kernels keep to one type."""
    same = x.dtype == weight.dtype and (delta is None or delta.dtype == x.dtype)
    return takes_kernel(x, weight, delta) and same and x.shape[-1] <= MAX_WIDTH


def _check(x: Tensor, weight: Tensor, delta: Tensor | None) -> None:
    if x.ndim < 1 or weight.shape != x.shape[-1:]:
        raise InputError(f"weight must be {tuple(x.shape[-1:])}, not {tuple(weight.shape)}")
    if delta is not None and delta.shape != x.shape:
        raise InputError(f"delta must be {tuple(x.shape)}, not {tuple(delta.shape)}")


def launch_rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return _forward(x, None, weight, eps)[1]


def launch_add_rms_norm(x: Tensor, delta: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return _forward(x, delta, weight, eps)


def launch_rms_norm_backward(
    h: Tensor, weight: Tensor, dy: Tensor, dsum: Tensor | None, eps: float
) -> tuple[Tensor, Tensor]:
    """dh of h's shape and dweight (width,)."""
    width = h.shape[-1]
    rows = h.numel() // width
    dh = torch.empty(h.shape, dtype=h.dtype, device=h.device)
    tile = tiles(key("rms_norm_backward", next_power_of_2(width)), h)
    blocks = cdiv(cdiv(rows, tile.block_m), BACKWARD_PROGRAMS)
    programs = cdiv(rows, max(1, blocks) * tile.block_m)
    partial = torch.empty((programs, width), dtype=torch.float32, device=h.device)
    given = [t if t is None else _rows(t) for t in (h, dy, dsum)]
    launch(
        backward_kernel, (programs,), given[0], weight, given[1], given[2], dh, partial,
        *(0 if t is None else t.stride(0) for t in given), rows, width, eps, blocks,
        WIDTH=next_power_of_2(width), **tile.options("ROWS"),
    )  # fmt: skip
    return dh, partial.sum(0).to(weight.dtype)


_normed = torch.library.custom_op("vljepa::rms_norm", launch_rms_norm, mutates_args=())
_added_and_normed = torch.library.custom_op("vljepa::add_rms_norm", launch_add_rms_norm, mutates_args=())
_gradients = torch.library.custom_op("vljepa::rms_norm_backward", launch_rms_norm_backward, mutates_args=())


@_normed.register_fake
def _(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device)


@_added_and_normed.register_fake
def _(x: Tensor, delta: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return torch.empty(x.shape, dtype=x.dtype, device=x.device), torch.empty(x.shape, dtype=x.dtype, device=x.device)


@_gradients.register_fake
def _(h: Tensor, weight: Tensor, dy: Tensor, dsum: Tensor | None, eps: float) -> tuple[Tensor, Tensor]:
    return torch.empty(h.shape, dtype=h.dtype, device=h.device), torch.empty_like(weight)


def _forward(x: Tensor, delta: Tensor | None, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    width = x.shape[-1]
    rows = x.numel() // width
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    added = torch.empty(x.shape if delta is not None else (0,), dtype=x.dtype, device=x.device)
    tile = tiles(key("rms_norm", next_power_of_2(width)), x)
    flat, change = _rows(x), None if delta is None else _rows(delta)
    launch(
        forward_kernel, (cdiv(rows, tile.block_m),), flat, change, weight, None if delta is None else added, y,
        flat.stride(0), 0 if change is None else change.stride(0), rows, width, eps,
        WIDTH=next_power_of_2(width), **tile.options("ROWS"),
    )  # fmt: skip
    return added, y


def _rows(x: Tensor) -> Tensor:
    """x as (rows, width), its rows contiguous; a copy only where a view can't be."""
    flat = x.reshape(-1, x.shape[-1])
    return flat if flat.stride(-1) == 1 else flat.contiguous()


def _save(ctx: object, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    x, weight, eps = inputs
    ctx.save_for_backward(x, weight)  # type: ignore[attr-defined]
    ctx.eps = eps  # type: ignore[attr-defined]


def _save_added(ctx: object, inputs: tuple[Tensor, ...], output: tuple[Tensor, Tensor]) -> None:
    _, _, weight, eps = inputs
    ctx.save_for_backward(output[0], weight)  # type: ignore[attr-defined]
    ctx.eps = eps  # type: ignore[attr-defined]


def _backward(ctx: object, dy: Tensor) -> tuple[Tensor, Tensor, None]:
    h, weight = ctx.saved_tensors  # type: ignore[attr-defined]
    dh, dweight = _gradients(h, weight, dy, None, ctx.eps)  # type: ignore[attr-defined]
    return dh, dweight, None


def _backward_added(ctx: object, dsum: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    h, weight = ctx.saved_tensors  # type: ignore[attr-defined]
    dh, dweight = _gradients(h, weight, dy, dsum, ctx.eps)  # type: ignore[attr-defined]
    return dh, dh, dweight, None


_normed.register_autograd(_backward, setup_context=_save)
_added_and_normed.register_autograd(_backward_added, setup_context=_save_added)
