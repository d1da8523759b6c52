"""Every public operation as a module that compilers are shown, small enough for Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import vljepa_edge.kernels.ops.bidirectional_attention as attention
import vljepa_edge.kernels.ops.info_nce as nce
import vljepa_edge.kernels.ops.int8_linear as int8
import vljepa_edge.kernels.ops.masked_mean_pool as pool
from vljepa_edge.kernels.ops import patchify, rms_norm, swiglu

Result = Tensor | tuple[Tensor, ...]
WIDTH, TOKENS, BATCH = 8, 5, 3


class Call(nn.Module):
    """An operation with everything but its tensors said already; torch.export takes modules only."""

    def __init__(self, function: Callable[..., Result]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Result:
        return self.function(*tensors)


@dataclass(frozen=True)
class Case:
    """A call of a public operation. The first `batched` tensors, and those of `more`, have a batch in front; `operator`
    is what a graph on a GPU has in its place. Tensors in floating point take gradients where it `learns`."""

    operator: str
    function: Callable[..., Result]
    tensors: tuple[Tensor, ...]
    batched: int = 1
    learns: bool = True
    more: tuple[int, ...] = ()

    @property
    def module(self) -> Call:
        return Call(self.function)

    @property
    def shapes(self) -> dict[str, Any]:
        """torch.export's dynamic_shapes: batches of any size, all else as it is."""
        batch = torch.export.Dim("batch", min=2)
        return {"tensors": tuple({0: batch} if self._has_batch(i) else {} for i in range(len(self.tensors)))}

    @property
    def doubled(self) -> tuple[Tensor, ...]:
        """The tensors with a batch of twice the size."""
        return tuple(torch.cat((t, t)) if self._has_batch(i) else t for i, t in enumerate(self.tensors))

    def _has_batch(self, place: int) -> bool:
        return place < self.batched or place in self.more

    def outcome(self, run: Callable[..., Result]) -> list[Tensor]:
        """What `run` gives for the tensors: its results, then the gradients of the sum of their squares."""
        learning = [t.is_floating_point() and self.learns for t in self.tensors]
        leaves = [t.clone().requires_grad_(wish) for t, wish in zip(self.tensors, learning, strict=True)]
        made = run(*leaves)
        results = list(made) if isinstance(made, tuple) else [made]
        if not self.learns:
            return results
        loss = torch.stack([r.float().square().sum() for r in results]).sum()
        wanted = [leaf for leaf in leaves if leaf.requires_grad]
        return [r.detach() for r in results] + list(torch.autograd.grad(loss, wanted))


def _random(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape) + sum(shape)), dtype=dtype)


def cases() -> dict[str, Case]:
    """By name."""
    x, weight = _random(BATCH, TOKENS, WIDTH), _random(WIDTH)
    lengths = torch.tensor([0, 2, 5], dtype=torch.int32)
    qkv = _random(BATCH, TOKENS, 4, 64, dtype=torch.float16)
    cos, sin = _random(TOKENS, 64).cos(), _random(TOKENS, 64).sin()
    quantised, scale = int8.quantise_weight(_random(6, WIDTH))
    frames = torch.arange(BATCH * 2 * 4 * 4 * 3).reshape(BATCH, 2, 4, 4, 3).remainder(251).to(torch.uint8)
    return {
        "attention": Case(
            "bidirectional_attention",
            lambda qkv, lengths: attention.bidirectional_attention(qkv, 2, cos, sin, lengths, scale=0.2),
            (qkv, lengths),
            batched=2,
        ),
        "attention, inference": Case(
            "bidirectional_attention",
            lambda qkv: attention.bidirectional_attention(qkv, 2),
            (qkv.float(),),
            learns=False,
        ),
        "rms_norm": Case("rms_norm", lambda x, weight: rms_norm.rms_norm(x, weight, 1e-5), (x, weight)),
        "add_rms_norm": Case(
            "add_rms_norm", lambda x, d, w: rms_norm.add_rms_norm(x, d, w, 1e-5), (x, x.flip(0), weight), batched=2
        ),
        "swiglu": Case("swiglu", swiglu.swiglu, (x,)),
        "masked_mean_pool": Case("masked_mean_pool", pool.masked_mean_pool, (x, lengths), batched=2),
        "embedding_tail": Case(
            "embedding_tail",
            lambda x, lengths, weight, head, bias: pool.embedding_tail(x, weight, 1e-5, head, bias, lengths),
            (x, lengths.clamp(min=1), weight, _random(7, WIDTH), _random(7)),
            batched=2,
            learns=False,
        ),
        "int8_linear": Case(
            "int8_linear", lambda x, q, s: int8.int8_linear(x, q, s, swiglu=True), (x, quantised, scale), learns=False
        ),
        "similarity_lse": Case("similarity_lse", nce.similarity_lse, (_random(6, WIDTH), _random(4, WIDTH), scale[0])),
        "similarity_lse, keys": Case(
            "similarity_lse",
            nce.similarity_lse,
            (
                _random(6, WIDTH),
                _random(4, WIDTH),
                scale[0],
                torch.arange(12).reshape(6, 2) % 5,
                torch.arange(4)[:, None],
            ),
            more=(3,),
        ),
        "patchify": Case(
            "patchify",
            lambda frames, mean, std: patchify.patchify(frames, mean, std, 2, 2, torch.float32),
            (frames, _random(3) + 120, _random(3).abs() + 50),
            learns=False,
        ),
    }
