"""Every kernel at the sizes of the paper, as launches to compile: what is shipped, and to which arguments.

The predictor (section 3.1): 2048 vision and 512 query tokens, hidden 2048, 32 query and 8 key heads of 64, MLP 8192,
shared space 1536. Its X-encoder: 16 frames of 256 x 256. Tensors are on the meta device: they have shapes and no bytes.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vljepa_edge.kernels.launch import Launch, recorded
from vljepa_edge.kernels.ops import (
    attention_backward,
    bidirectional_attention,
    info_nce,
    int8_linear,
    masked_mean_pool,
    patchify,
    rms_norm,
    swiglu,
)

TOKENS, HIDDEN, FFN, EMBEDDING = 2560, 2048, 8192, 1536
HEADS, KV_HEADS = 32, 8
BATCH = 24
"""A rank's part of a large batch."""
SMALL_BATCH = 2
"""What is timed: no launch takes more than half a gigabyte, which a small Jetson has."""
ROWS, COLUMNS = 3072, 24576
"""Of the loss: a rank's videos, and the texts of all ranks."""


def _empty(*shape: int, dtype: torch.dtype = torch.float16) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def _attention(batch: int, head_dim: int, dtype: torch.dtype, *, backward: bool = False) -> None:
    qkv = _empty(batch, TOKENS, HEADS + 2 * KV_HEADS, head_dim, dtype=dtype)
    cos, sin = (_empty(TOKENS, head_dim, dtype=torch.float32) for _ in range(2))
    lengths = _empty(batch, dtype=torch.int32)
    scale = head_dim**-0.5
    out, lse = bidirectional_attention.launch_attention(qkv, cos, sin, lengths, HEADS, scale, backward)
    if backward:
        attention_backward.launch_attention_backward(qkv, cos, sin, lengths, out, lse, out, HEADS, scale)


def _norms(batch: int) -> None:
    x, weight = _empty(batch, TOKENS, HIDDEN), _empty(HIDDEN)
    rms_norm.launch_rms_norm(x, weight, 1e-5)
    rms_norm.launch_add_rms_norm(x, x, weight, 1e-5)
    rms_norm.launch_rms_norm_backward(x, weight, x, x, 1e-5)


def _gates(batch: int) -> None:
    swiglu.launch_swiglu(_empty(batch, TOKENS, 2 * FFN))
    swiglu.launch_swiglu_backward(_empty(batch, TOKENS, 2 * FFN), _empty(batch, TOKENS, FFN))


def _pools(batch: int) -> None:
    tokens, lengths = _empty(batch, TOKENS, HIDDEN), _empty(batch, dtype=torch.int32)
    masked_mean_pool.launch_mean_pool(tokens, lengths)
    weight, bias = _empty(EMBEDDING, HIDDEN), _empty(EMBEDDING)
    masked_mean_pool.launch_tail(tokens, _empty(HIDDEN), 1e-5, weight, bias, lengths)


def _int8() -> None:
    x = _empty(TOKENS, HIDDEN)
    for rows, gated in ((HIDDEN, False), (2 * FFN, True)):
        weight, scale = _empty(rows, HIDDEN, dtype=torch.int8), _empty(rows, dtype=torch.float32)
        int8_linear.launch_int8_linear(x, weight, scale, None, None, gated)


def _losses(dtype: torch.dtype) -> None:
    """With the key of each text and two that are right for each video, as both directions of the loss compare them."""
    rows, columns = _empty(ROWS, EMBEDDING, dtype=dtype), _empty(COLUMNS, EMBEDDING, dtype=dtype)
    scale, lse = _empty(dtype=torch.float32), _empty(ROWS, dtype=torch.float32)
    for of_rows, of_columns in ((2, 1), (1, 2)):
        row_keys = _empty(len(rows), of_rows, dtype=torch.int64)
        column_keys = _empty(len(columns), of_columns, dtype=torch.int64)
        info_nce.launch_lse(rows, columns, scale, row_keys, column_keys, 0)
        info_nce.launch_lse_backward(rows, columns, scale, row_keys, column_keys, 0, lse, lse)


def _patches(batch: int) -> None:
    frames = _empty(batch, 16, 256, 256, 3, dtype=torch.uint8)
    mean, std = _empty(3, dtype=torch.float32), _empty(3, dtype=torch.float32)
    patchify.launch_patchify(frames, mean, std, 2, 16, torch.float16)


WORKLOADS: dict[str, Callable[[int], None]] = {
    "attention d64 fp16": lambda batch: _attention(batch, 64, torch.float16),
    "attention d128 fp16": lambda batch: _attention(batch, 128, torch.float16),
    "attention d64 fp32": lambda batch: _attention(batch, 64, torch.float32),
    "attention training d64 bf16": lambda batch: _attention(batch, 64, torch.bfloat16, backward=True),
    "attention training d128 bf16": lambda batch: _attention(batch, 128, torch.bfloat16, backward=True),
    "rms_norm fp16": _norms,
    "swiglu fp16": _gates,
    "pool fp16": _pools,
    "int8_linear fp16": lambda batch: _int8(),
    "info_nce fp32": lambda batch: _losses(torch.float32),
    "info_nce bf16": lambda batch: _losses(torch.bfloat16),
    "patchify fp16": _patches,
}
"""By name, each to be called with a batch. Without `training` and `info_nce` in its name, one of inference."""
INFERENCE = tuple(name for name in WORKLOADS if "training" not in name and "info_nce" not in name)


def launches(arch: int, workload: str) -> dict[str, Launch]:
    """What a workload launches on sm_`arch`, by "workload: kernel"; a kernel's further launches are numbered.

    A launch that differs from an earlier one in no size that code is made for is left out.
    """
    with recorded(arch) as made:
        WORKLOADS[workload](BATCH)
    found: dict[str, Launch] = {}
    seen: list[tuple[object, ...]] = []
    for launch in made:
        code = (launch.kernel, *(_specialised(a) for a in launch.arguments), tuple(launch.config.items()))
        if code in seen:
            continue
        seen.append(code)
        label = f"{workload}: {launch.kernel.__module__.rpartition('.')[2]}.{launch.kernel.__name__}"
        again = sum(known.partition(" #")[0] == label for known in found)
        found[f"{label} #{again + 1}" if again else label] = launch
    return found


def _specialised(argument: object) -> object:
    """What the JIT makes code for: the type of a pointer, whether an integer divides by 16 or is 1."""
    if isinstance(argument, Tensor):
        return argument.dtype
    if isinstance(argument, int):
        return argument % 16 == 0, argument == 1
    return None if argument is None else type(argument)
