"""The predictor's attention and pooling tail as TensorRT plugins, for TensorRT versions that have `tensorrt.plugin`.

Importing this registers them in TensorRT under the namespace `vljepa`; the ONNX parser then takes nodes of these names,
which `vljepa_edge.onnx_graphs.plugin_nodes` writes. An ahead-of-time plugin is one kernel: TensorRT is given its PTX,
its grid as expressions of the shapes, and launches it without Python. Attention and tail are two each:

    RotateKeys, then BidirectionalAttention or PaddedAttention (which takes the length of each sequence)
    PoolSum, then PoolProject; the unit length of the last row is left to TensorRT

The scale of the scores is 1 / sqrt(D). TensorRT says of addresses from outside that they are multiples of 256; that
its own are multiples of 16 is taken for granted. Attributes are text, as `tensorrt.plugin` of 10.16 can't read a number
with NumPy 2.4.

NOT VERIFIED ON HARDWARE: registered and called in NVIDIA's bindings of TensorRT 10.16 and 11.4, compiled for every
architecture, never run by TensorRT.
"""
# tensorrt.plugin reads the annotations of what it registers, so they can't be postponed.

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

import tensorrt as trt
import tensorrt.plugin as trtp
import torch

from vljepa_edge.engines.tensorrt.cuda_runtime import driver_version, gpu
from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.launch import Launch
from vljepa_edge.kernels.ops.attention_inputs import LOG2E
from vljepa_edge.kernels.ops.masked_mean_pool import SPAN
from vljepa_edge.kernels.tensorrt.kernels import (
    attention_kernel,
    pool_project_kernel,
    pool_sum_kernel,
    rotate_keys_kernel,
)
from vljepa_edge.kernels.tiles import Tiles, key, own_table, shipped
from vljepa_edge.kernels.tools import aot
from vljepa_edge.kernels.tools.ptx import for_tensorrt, newest_for, version_of
from vljepa_edge.kernels.triton_or_none import cdiv, next_power_of_2

SHARED_BYTES = 48 << 10
"""What a launch may use without asking the driver for more. Whether TensorRT asks isn't documented."""
ODD = 2561
"""Stands for an integer of which nothing is known: Triton makes other code for 1 and for multiples of 16."""


class _Type(NamedTuple):
    """What a type is called by TensorRT's autotune, by PyTorch, and as a pointer by Triton."""

    tensorrt: str
    torch: torch.dtype
    triton: str


_TYPES = {
    trt.float16: _Type("FP16", torch.float16, "*fp16"),
    trt.float32: _Type("FP32", torch.float32, "*fp32"),
    trt.int32: _Type("INT32", torch.int32, "*i32"),
}

Desc: TypeAlias = trtp.TensorDesc
Code: TypeAlias = tuple[str, str, trtp.KernelLaunchParams, trtp.SymIntExprs]
"""Name of the kernel, its PTX, its grid, and its integers."""


@trtp.register("vljepa::RotateKeys")
def rotate_keys(qkv: Desc, cos: Desc, sin: Desc, heads: str) -> Desc:
    """qkv (B, N, heads + 2 * kv_heads, D), cos and sin (N, D) -> its keys, rotated (B, N, kv_heads, D)."""
    keys = qkv.like()
    keys.shape_expr[2] = (qkv.shape_expr[2] - int(heads)) // 2
    return keys


@trtp.aot_impl("vljepa::RotateKeys")
def rotate_keys_code(qkv: Desc, cos: Desc, sin: Desc, heads: str, outputs: tuple[Desc], tactic: int) -> Code:
    sizes = _head_sizes(qkv, int(heads))
    tile = _tiles("attention_rotate")[0]
    made = _compiled(rotate_keys_kernel, (qkv, cos, sin), outputs, **sizes, **tile.options("BLOCK"))
    batch, tokens, _, _ = qkv.shape_expr
    grid = trtp.cdiv(tokens, tile.block_m), sizes["KV_HEADS"], batch
    return _code(made, (qkv, cos, sin), tokens, outputs, grid)


@trtp.register("vljepa::BidirectionalAttention")
def attention(qkv: Desc, keys: Desc, cos: Desc, sin: Desc, heads: str) -> Desc:
    """qkv and tables as of RotateKeys, and what it made -> (B, N, heads, D). Every token sees every other."""
    out = qkv.like()
    out.shape_expr[2] = int(heads)
    return out


@trtp.autotune("vljepa::BidirectionalAttention")
def attention_tactics(
    qkv: Desc, keys: Desc, cos: Desc, sin: Desc, heads: str, outputs: tuple[Desc]
) -> list[trtp.AutoTuneCombination]:
    return _attention_tactics((qkv, keys, cos, sin, None), int(heads), outputs)


@trtp.aot_impl("vljepa::BidirectionalAttention")
def attention_code(qkv: Desc, keys: Desc, cos: Desc, sin: Desc, heads: str, outputs: tuple[Desc], tactic: int) -> Code:
    return _attention_code((qkv, keys, cos, sin, None), int(heads), outputs, tactic)


@trtp.register("vljepa::PaddedAttention")
def padded_attention(qkv: Desc, keys: Desc, cos: Desc, sin: Desc, lengths: Desc, heads: str) -> Desc:
    """As BidirectionalAttention, with lengths (B,) int32: tokens of each sequence, rows of padding behind them zero."""
    return attention(qkv, keys, cos, sin, heads)


@trtp.autotune("vljepa::PaddedAttention")
def padded_attention_tactics(
    qkv: Desc, keys: Desc, cos: Desc, sin: Desc, lengths: Desc, heads: str, outputs: tuple[Desc]
) -> list[trtp.AutoTuneCombination]:
    return _attention_tactics((qkv, keys, cos, sin, lengths), int(heads), outputs)


@trtp.aot_impl("vljepa::PaddedAttention")
def padded_attention_code(
    qkv: Desc, keys: Desc, cos: Desc, sin: Desc, lengths: Desc, heads: str, outputs: tuple[Desc], tactic: int
) -> Code:
    return _attention_code((qkv, keys, cos, sin, lengths), int(heads), outputs, tactic)


@trtp.register("vljepa::PoolSum")
def pool_sum(x: Desc, lengths: Desc, eps: str) -> Desc:
    """x (B, N, width), lengths (B,) int32 -> sums of x / rms(x) over spans of tokens, (B, spans, width) fp32."""
    batch, tokens, width = x.shape_expr
    return trtp.from_shape_expr((batch, trtp.cdiv(tokens, SPAN), width), trt.float32)


@trtp.aot_impl("vljepa::PoolSum")
def pool_sum_code(x: Desc, lengths: Desc, eps: str, outputs: tuple[Desc], tactic: int) -> Code:
    channels = x.shape[2]
    width = next_power_of_2(channels)
    made = _compiled(
        pool_sum_kernel, (x, lengths), outputs, CHANNELS=channels, EPS=float(eps), SPAN=SPAN, WIDTH=width,
        **_tiles(key("pool_sum", width))[0].options("ROWS"),
    )  # fmt: skip
    batch, tokens, _ = x.shape_expr
    return _code(made, (x, lengths), tokens, outputs, (trtp.cdiv(tokens, SPAN), batch, 1))


@trtp.register("vljepa::PoolProject")
def pool_project(partial: Desc, lengths: Desc, norm_weight: Desc, weight: Desc, bias: Desc) -> Desc:
    """What PoolSum made, its lengths, norm_weight (width,), weight (E, width), bias (E,) -> (B, E) fp32."""
    return trtp.from_shape_expr((partial.shape_expr[0], weight.shape_expr[0]), trt.float32)


@trtp.aot_impl("vljepa::PoolProject")
def pool_project_code(
    partial: Desc, lengths: Desc, norm_weight: Desc, weight: Desc, bias: Desc, outputs: tuple[Desc], tactic: int
) -> Code:
    inputs = (partial, lengths, norm_weight, weight, bias)
    embedding, channels = weight.shape
    tile = _tiles("pool_project")[0]
    made = _compiled(
        pool_project_kernel, inputs, outputs, CHANNELS=channels, EMBEDDING=embedding, SPAN=SPAN,
        **tile.options("BLOCK_E", "BLOCK"),
    )  # fmt: skip
    batch, spans, _ = partial.shape_expr
    return _code(made, inputs, spans, outputs, (cdiv(embedding, tile.block_m), batch, 1))


def _attention_tactics(
    inputs: Sequence[Desc | None], heads: int, outputs: tuple[Desc]
) -> list[trtp.AutoTuneCombination]:
    """The tiles that TensorRT can launch, for it to time."""
    shared = [_attention(inputs, heads, outputs, tile).metadata.shared for tile in _attention_tiles(inputs)]
    fitting = [place for place, size in enumerate(shared, 1) if size <= SHARED_BYTES]
    types = ", ".join(_TYPES[tensor.dtype].tensorrt for tensor in (*inputs, *outputs) if tensor is not None)
    return [trtp.AutoTuneCombination(types, "LINEAR", fitting)]


def _attention_code(inputs: Sequence[Desc | None], heads: int, outputs: tuple[Desc], tactic: int) -> Code:
    tile = _attention_tiles(inputs)[tactic - 1]
    made = _attention(inputs, heads, outputs, tile)
    batch, tokens, _, _ = _qkv(inputs).shape_expr
    return _code(made, inputs, tokens, outputs, (trtp.cdiv(tokens, tile.block_m), heads, batch))


def _attention(inputs: Sequence[Desc | None], heads: int, outputs: tuple[Desc], tile: Tiles) -> Any:
    sizes = _head_sizes(_qkv(inputs), heads)
    scale = sizes["HEAD_DIM"] ** -0.5 * LOG2E
    options = tile.options("BLOCK_M", "BLOCK_N")
    return _compiled(attention_kernel, inputs, outputs, SCALE=scale, **sizes, **options)


def _attention_tiles(inputs: Sequence[Desc | None]) -> list[Tiles]:
    qkv = _qkv(inputs)
    bits = 8 * _TYPES[qkv.dtype].torch.itemsize
    return _tiles(key("attention_forward", qkv.shape[3], bits))


def _qkv(inputs: Sequence[Desc | None]) -> Desc:
    """The first input of attention, which is always there."""
    assert inputs[0] is not None
    return inputs[0]


def _head_sizes(qkv: Desc, heads: int) -> dict[str, int]:
    _, _, slots, head_dim = qkv.shape
    return {"HEADS": heads, "KV_HEADS": (slots - heads) // 2, "HEAD_DIM": head_dim}


def _arch() -> int:
    return int(gpu().compute_capability.replace(".", ""))


def _tiles(name: str) -> list[Tiles]:
    """The GPU's line of the tables; then with less shared memory: two stages, half a block of keys, one stage."""
    line = own_table(gpu().gpu).get(name) or shipped(name, _arch())
    half = replace(line, block_n=line.block_n // 2, stages=2)
    return list(dict.fromkeys((line, replace(line, stages=2), half, replace(half, stages=1))))


def _compiled(kernel: Any, inputs: Sequence[Desc | None], outputs: Sequence[Desc], **config: Any) -> Any:
    """For the GPU at hand, without the inputs that are None; one integer, a count of tokens, follows the inputs.

    In PTX that its driver takes. Raises KernelError if it doesn't compile.
    """
    pointers = [
        None if tensor is None else torch.empty(0, dtype=_TYPES[tensor.dtype].torch, device="meta")
        for tensor in (*inputs, *outputs)
    ]
    arguments = (*pointers[: len(inputs)], ODD, *pointers[len(inputs) :])
    made, most = aot.compiled(Launch(kernel, (1, 1, 1), arguments, config), _arch()), newest_for(driver_version())
    if version_of(made) <= most:
        return made
    return aot.compiled(Launch(kernel, (1, 1, 1), arguments, {**config, "ptx_version": most}), _arch())


def _code(
    kernel: Any, inputs: Sequence[Desc | None], count: trtp.ShapeExpr, outputs: Sequence[Desc],
    grid: tuple[Any, Any, Any],
) -> Code:  # fmt: skip
    """What an aot_impl returns. Raises KernelError for a kernel that TensorRT can't launch."""
    if kernel.metadata.shared > SHARED_BYTES:
        raise KernelError(f"{kernel.metadata.name} takes {kernel.metadata.shared} bytes of shared memory")
    given, made = ([_TYPES[t.dtype].triton for t in tensors if t is not None] for tensors in (inputs, outputs))
    name, ptx = for_tensorrt(kernel, given, 1, made)
    threads = 32 * kernel.metadata.num_warps
    launch = trtp.KernelLaunchParams(*grid, block_x=threads, shared_mem=kernel.metadata.shared)
    return name, ptx, launch, trtp.SymIntExprs.from_tuple((count,))
