"""Frames to normalised tubelet patches in one pass, as V-JEPA 2's first convolution reads them (arXiv 2506.09985).

    patch[b, (t, y, x), (c, dt, dy, dx)] = (frame[b, t S + dt, y P + dy, x P + dx, c] - mean_c) / std_c

with S frames a tubelet, P pixels a side. PyTorch makes fp32 pixels, subtracts, divides, casts and permutes, each a trip
through memory; here every byte is read once and every value written once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.tiles import tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton

CHANNELS = 3


@triton.jit
def patchify_kernel(
    FRAMES, MEAN, STD, OUT, clip_stride, frame_stride, row_stride, rows_of_patches, columns_of_patches,
    TUBELET: tl.constexpr, PATCH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """BLOCK values (c, dt, dy, dx) of one patch. Grid (tokens of a clip, blocks of a patch, B).

    A warp's threads read pixels of one patch row, three bytes apart, so the loads of the three channels meet in L1.
    """
    token = tl.program_id(0)
    clip = tl.program_id(2).to(tl.int64)
    column = token % columns_of_patches
    row = token // columns_of_patches % rows_of_patches
    step = token // columns_of_patches // rows_of_patches
    SIZE: tl.constexpr = 3 * TUBELET * PATCH * PATCH
    place = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = place < SIZE
    channel = place // (TUBELET * PATCH * PATCH)
    frame = step * TUBELET + place // (PATCH * PATCH) % TUBELET
    y = row * PATCH + place // PATCH % PATCH
    x = column * PATCH + place % PATCH
    source = FRAMES + clip * clip_stride + frame.to(tl.int64) * frame_stride + y * row_stride + x * 3 + channel
    pixel = tl.load(source, mask=inside, other=0).to(tl.float32)
    mean = tl.load(MEAN + channel, mask=inside, other=0.0).to(tl.float32)
    std = tl.load(STD + channel, mask=inside, other=1.0).to(tl.float32)
    target = OUT + (clip * tl.num_programs(0) + token) * SIZE + place
    tl.store(target, ((pixel - mean) / std).to(OUT.dtype.element_ty), mask=inside)


def patchify(frames: Tensor, mean: Tensor, std: Tensor, tubelet: int, patch: int, dtype: torch.dtype) -> Tensor:
    """frames uint8 RGB (B, T, H, W, 3) -> patches (B, T/tubelet * H/patch * W/patch, 3 * tubelet * patch^2) of `dtype`.

    mean and std (3,), of pixels in 0 to 255. Raises InputError unless T, H and W are multiples of tubelet and patch.
    """
    if takes_kernel(frames, mean, std):
        _check(frames, tubelet, patch)
        patches: Tensor = _patches(frames, mean, std, tubelet, patch, dtype)
        return patches
    return torch_form(frames, mean, std, tubelet, patch, dtype)


def torch_form(frames: Tensor, mean: Tensor, std: Tensor, tubelet: int, patch: int, dtype: torch.dtype) -> Tensor:
    """The same in PyTorch, and in every exported graph."""
    batch, steps = frames.shape[0], frames.shape[1] // tubelet
    rows, columns = frames.shape[2] // patch, frames.shape[3] // patch
    pixels = ((frames.float() - mean) / std).to(dtype)
    pixels = pixels.reshape(batch, steps, tubelet, rows, patch, columns, patch, 3)
    return pixels.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(batch, steps * rows * columns, -1)


def reference(frames: Tensor, mean: Tensor, std: Tensor, tubelet: int, patch: int) -> Tensor:
    """The same in float64: each patch cut out of the clip by slicing."""
    clips = ((frames.double() - mean.double()) / std.double()).movedim(-1, 1)
    length, height, width = clips.shape[2:]
    patches = [
        clips[:, :, t : t + tubelet, y : y + patch, x : x + patch].flatten(1)
        for t in range(0, length, tubelet)
        for y in range(0, height, patch)
        for x in range(0, width, patch)
    ]
    return torch.stack(patches, dim=1)


def _check(frames: Tensor, tubelet: int, patch: int) -> None:
    shape = tuple(frames.shape)
    if frames.dtype != torch.uint8 or frames.ndim != 5 or shape[-1] != CHANNELS:
        raise InputError(f"frames must be uint8 (B, T, H, W, 3), not {str(frames.dtype)[6:]} {shape}")
    if shape[1] % tubelet or shape[2] % patch or shape[3] % patch:
        raise InputError(f"frames {shape} must have multiples of {tubelet} frames and {patch} pixels a side")


def launch_patchify(frames: Tensor, mean: Tensor, std: Tensor, tubelet: int, patch: int, dtype: torch.dtype) -> Tensor:
    batch, length, height, width, _ = frames.shape
    steps, rows, columns = length // tubelet, height // patch, width // patch
    size = CHANNELS * tubelet * patch * patch
    pixels = frames if frames.stride()[-2:] == (CHANNELS, 1) else frames.contiguous()
    out = torch.empty((batch, steps * rows * columns, size), dtype=dtype, device=frames.device)
    tile = tiles("patchify", frames)
    launch(
        patchify_kernel, (steps * rows * columns, cdiv(size, tile.block_m), batch), pixels, mean, std, out,
        *pixels.stride()[:3], rows, columns, TUBELET=tubelet, PATCH=patch, **tile.options("BLOCK"),
    )  # fmt: skip
    return out


_patches = torch.library.custom_op("vljepa::patchify", launch_patchify, mutates_args=())


@_patches.register_fake
def _(frames: Tensor, mean: Tensor, std: Tensor, tubelet: int, patch: int, dtype: torch.dtype) -> Tensor:
    batch, length, height, width, _ = frames.shape
    shape = (batch, length // tubelet * (height // patch) * (width // patch), CHANNELS * tubelet * patch * patch)
    return torch.empty(shape, dtype=dtype, device=frames.device)
