"""Bidirectional InfoNCE (section 3 of the paper) without the matrix of logits, in blocks, forward and backward.

One direction, rows a_i against columns b_j with temperature 1 / scale, is the log-sum-exp

    lse_i = log sum_j exp(scale <a_i, b_j>),        dL/d lse_i = w_i,     p_ij = w_i exp(scale <a_i, b_j> - lse_i)
    da_i = scale sum_j p_ij b_j,    db_j = scale sum_i p_ij a_i,    dscale = sum_ij p_ij <a_i, b_j>

and the loss is the mean of lse_i - scale <a_i, b_i> over both directions, halved. The B x B scores exist one block at a
time, forward and again backward, as FlashAttention's do (arXiv 2205.14135); at B = 24576 (the paper's batch) they would
take 2.4 GB in fp32, and their gradient as much again. Under data parallelism the columns are gathered from all ranks
and `offset` says where this rank's begin.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.kernels.launch import launch, takes_kernel
from vljepa_edge.kernels.tiles import bits, key, tiles
from vljepa_edge.kernels.triton_or_none import cdiv, tl, triton

DTYPES = (torch.float16, torch.bfloat16, torch.float32)
BLOCK = 1024
"""Rows and columns of a block of the PyTorch form: 4 MB of fp32 scores. A batch of at most a block is done densely."""
SPLIT = 2048
"""Columns that one program of the forward kernel sees; PyTorch joins the parts in one order."""
EXCLUDED = -1e4
"""The score of what is no negative. exp() of it beside any cosine's is 0."""


@triton.jit
def _scores(rows_at, columns_at, width, within, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr):
    """<a_i, b_j> of a block; the pointers stand at the first BLOCK_K channels, rows beyond the end at the last one."""
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    whole = width // BLOCK_K * BLOCK_K
    for start in range(0, whole, BLOCK_K):
        a = tl.load(rows_at + start)
        b = tl.load(columns_at + start)
        acc = tl.dot(a, tl.trans(b), acc, input_precision="tf32x3")
    if whole < width:
        inside = (whole + within)[None, :] < width
        a = tl.load(rows_at + whole, mask=inside, other=0.0)
        b = tl.load(columns_at + whole, mask=inside, other=0.0)
        acc = tl.dot(a, tl.trans(b), acc, input_precision="tf32x3")
    return acc


@triton.jit
def lse_kernel(
    A, B, SCALE, SAME, LSE, a_row, b_row, same_row, same_column, rows, columns, width, offset, split,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """lse_i over the `split` columns of this part, in LSE (parts, rows). Grid (blocks of rows, parts).

    SAME [i, j] true takes column j out of row i's sum, unless it is the row's own, j = i + offset.
    """
    row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    within = tl.arange(0, BLOCK_K)
    scale = tl.load(SCALE).to(tl.float32) * 1.4426950408889634
    a_at = A + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * a_row + within[None, :]
    highest = tl.full((BLOCK_M,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    first = tl.program_id(1) * split
    for start in range(first, tl.minimum(first + split, columns), BLOCK_N):
        column = start + tl.arange(0, BLOCK_N)
        b_at = B + tl.minimum(column, columns - 1).to(tl.int64)[:, None] * b_row + within[None, :]
        scores = _scores(a_at, b_at, width, within, BLOCK_M, BLOCK_N, BLOCK_K) * scale
        counted = (column < columns)[None, :]
        if SAME is not None:
            inside = (row < rows)[:, None] & counted
            same_at = SAME + row.to(tl.int64)[:, None] * same_row + column.to(tl.int64)[None, :] * same_column
            same = tl.load(same_at, mask=inside, other=0) != 0
            counted = counted & ((same == 0) | (column[None, :] == row[:, None] + offset))
        scores = tl.where(counted, scores, float("-inf"))
        risen = tl.maximum(highest, tl.max(scores, 1))
        floor = tl.where(risen == float("-inf"), 0.0, risen)
        total = total * tl.exp2(highest - floor) + tl.sum(tl.exp2(scores - floor[:, None]), 1)
        highest = risen
    lse = (highest + tl.log2(tl.where(total > 0.0, total, 1.0))) * 0.6931471805599453
    tl.store(LSE + tl.program_id(1).to(tl.int64) * rows + row, lse, mask=row < rows)


@triton.jit
def gradient_kernel(
    A, B, SCALE, SAME, LSE, WEIGHT, DA, DSCALE, a_row, b_row, same_row, same_column, rows, columns, width, offset,
    OF_ROWS: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """da_i = scale sum_j p_ij b_j, and with OF_ROWS this row's part of dscale. Grid (blocks of rows).

    OF_ROWS: the log-sum-exps and weights are the rows', else the columns', which makes db of the roles' exchange. A
    program owns its rows of DA, adds to them block by block in fp32, and the barrier orders what its threads wrote:
    no atomics, the same sum every time.
    """
    row = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    within = tl.arange(0, BLOCK_K)
    natural = tl.load(SCALE).to(tl.float32)
    a_at = A + tl.minimum(row, rows - 1).to(tl.int64)[:, None] * a_row + within[None, :]
    da_at = DA + row.to(tl.int64)[:, None] * width + within[None, :]
    drift = tl.zeros((BLOCK_M,), tl.float32)
    for start in range(0, columns, BLOCK_N):
        column = start + tl.arange(0, BLOCK_N)
        b_at = B + tl.minimum(column, columns - 1).to(tl.int64)[:, None] * b_row + within[None, :]
        scores = _scores(a_at, b_at, width, within, BLOCK_M, BLOCK_N, BLOCK_K)
        if OF_ROWS:
            lse = tl.load(LSE + row, mask=row < rows, other=0.0)[:, None]
            weight = tl.load(WEIGHT + row, mask=row < rows, other=0.0)[:, None]
        else:
            lse = tl.load(LSE + column, mask=column < columns, other=0.0)[None, :]
            weight = tl.load(WEIGHT + column, mask=column < columns, other=0.0)[None, :]
        counted = (row < rows)[:, None] & (column < columns)[None, :]
        if SAME is not None:
            same_at = SAME + row.to(tl.int64)[:, None] * same_row + column.to(tl.int64)[None, :] * same_column
            same = tl.load(same_at, mask=counted, other=0) != 0
            ahead = offset if OF_ROWS else -offset
            own = column[None, :] == row[:, None] + ahead
            counted = counted & ((same == 0) | own)
        share = tl.where(counted, weight * tl.exp2((scores * natural - lse) * 1.4426950408889634), 0.0)
        if OF_ROWS:
            drift += tl.sum(share * scores, 1)
        share = (share * natural).to(B.dtype.element_ty)
        for begin in range(0, width, BLOCK_K):
            inside = (begin + within)[None, :] < width
            b = tl.load(b_at + begin, mask=inside, other=0.0)
            owned = (row < rows)[:, None] & inside
            sofar = tl.load(da_at + begin, mask=owned, other=0.0)
            tl.store(da_at + begin, tl.dot(share, b, sofar, input_precision="tf32x3"), mask=owned)
        tl.debug_barrier()
    if OF_ROWS:
        tl.store(DSCALE + row, drift, mask=row < rows)


def info_nce(
    predicted: Tensor,
    target: Tensor,
    scale: Tensor,
    same: Tensor | None = None,
    hard: Tensor | None = None,
    hard_mask: Tensor | None = None,
    *,
    all_predicted: Tensor | None = None,
    all_target: Tensor | None = None,
    offset: int = 0,
    same_videos: Tensor | None = None,
) -> Tensor:
    """Mean of video-to-text and text-to-video cross-entropy over this rank's rows.

    predicted, target: (B, E) unit rows, row i of one belongs to row i of the other. scale: exp of the learned log
    temperature, a scalar. same: (B, M) bool, [i, j] true where text j is right for video i as well, so that it is no
    negative (a row's own is never taken out). hard: (B, K, E) more negative texts for each video, hard_mask (B, K)
    true where there is one. all_predicted, all_target: (M, E), gathered from all ranks, this rank's rows at `offset`;
    without them M = B. same_videos: (B, M), [i, j] true where text i is right for video j; without gathering it is the
    transpose of `same`. Raises InputError for shapes that don't fit.
    """
    gathered = all_predicted is not None or all_target is not None
    videos, texts = (predicted, target) if not gathered else (all_predicted, all_target)
    if videos is None or texts is None:
        raise InputError("all_predicted and all_target are given together or not at all")
    if not gathered and same is not None:
        same_videos = same.T
    _check(predicted, target, videos, texts, same, same_videos, offset)
    if not gathered and len(predicted) <= BLOCK and not _kernel_fits(predicted, target, scale):
        return _dense(predicted, target, scale, same, hard, hard_mask)
    own = (predicted * target).sum(-1) * scale
    to_text = similarity_lse(predicted, texts, scale, same, offset)
    if hard is not None:
        more = torch.einsum("be,bke->bk", predicted, hard) * scale
        if hard_mask is not None:
            more = more.masked_fill(~hard_mask, EXCLUDED)
        to_text = torch.cat((to_text[:, None], more), 1).logsumexp(1)
    to_video = similarity_lse(target, videos, scale, same_videos, offset)
    return ((to_text - own).mean() + (to_video - own).mean()) / 2


def similarity_lse(a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None = None, offset: int = 0) -> Tensor:
    """lse_i = log sum_j exp(scale <a_i, b_j>) over the j that `same` doesn't take out: a (N, E), b (M, E) -> (N,) fp32.

    Differentiable in a, b and scale; neither pass holds more than a block of the N x M scores.
    """
    if _kernel_fits(a, b, scale):
        lse: Tensor = _lse(a, b, scale, same, offset)
        return lse
    lse = _Blockwise.apply(a, b, scale, same, offset)
    return lse


def reference(
    predicted: Tensor, target: Tensor, scale: float, same: Tensor | None = None, hard: Tensor | None = None
) -> Tensor:
    """The loss in float64, row by row from the definition."""
    a, b = predicted.double(), target.double()
    terms: list[Tensor] = []
    for i in range(len(a)):
        for rows, column, more, taken in ((b, a[i], hard, same), (a, b[i], None, None if same is None else same.T)):
            kept = [j for j in range(len(rows)) if j == i or taken is None or not bool(taken[i, j])]
            logits = torch.stack([rows[j] @ column for j in kept])
            if more is not None:
                logits = torch.cat((logits, more[i].double() @ column))
            terms.append((logits * scale).exp().sum().log() - scale * (a[i] @ b[i]))
    return torch.stack(terms).mean()


def _dense(
    predicted: Tensor, target: Tensor, scale: Tensor, same: Tensor | None, hard: Tensor | None, hard_mask: Tensor | None
) -> Tensor:
    """One block: cross-entropy of the scores themselves."""
    scores = predicted @ target.T * scale
    own = torch.arange(len(scores), device=scores.device)
    if same is not None:
        same = same.clone()
        same[own, own] = False
        scores = scores.masked_fill(same, EXCLUDED)
    texts = scores
    if hard is not None:
        more = torch.einsum("be,bke->bk", predicted, hard) * scale
        if hard_mask is not None:
            more = more.masked_fill(~hard_mask, EXCLUDED)
        texts = torch.cat([scores, more], 1)
    return (F.cross_entropy(texts, own) + F.cross_entropy(scores.T, own)) / 2


class _Blockwise(torch.autograd.Function):
    """`similarity_lse` in PyTorch: blocks of scores, made again in the backward pass."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None, offset: int) -> Tensor:
        lse = torch.full((len(a),), -math.inf, dtype=a.dtype, device=a.device)
        for rows, columns in _blocks(len(a), len(b)):
            scores = _block(a, b, same, offset, rows, columns).mul_(scale)
            lse[rows] = torch.logaddexp(lse[rows], scores.logsumexp(1))
        ctx.save_for_backward(a, b, scale, same, lse)
        ctx.offset = offset
        return lse

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        a, b, scale, same, lse = ctx.saved_tensors
        da, db, dscale = torch.zeros_like(a), torch.zeros_like(b), torch.zeros_like(scale)
        for rows, columns in _blocks(len(a), len(b)):
            scores = _block(a, b, same, ctx.offset, rows, columns)
            share = (scores * scale - lse[rows, None]).exp_().mul_(weight[rows, None])
            dscale += (share * scores.nan_to_num_(nan=math.nan, neginf=0.0)).sum()
            da[rows] += share @ b[columns] * scale
            db[columns] += share.T @ a[rows] * scale
        return da, db, dscale, None, None


def _blocks(rows: int, columns: int) -> list[tuple[slice, slice]]:
    return [
        (slice(i, min(i + BLOCK, rows)), slice(j, min(j + BLOCK, columns)))
        for i in range(0, rows, BLOCK)
        for j in range(0, columns, BLOCK)
    ]


def _block(a: Tensor, b: Tensor, same: Tensor | None, offset: int, rows: slice, columns: slice) -> Tensor:
    """<a_i, b_j> of a block, -inf where j is taken out of i's sum."""
    scores = a[rows] @ b[columns].T
    if same is None:
        return scores
    row = torch.arange(rows.start, rows.stop, device=a.device)
    column = torch.arange(columns.start, columns.stop, device=a.device)
    own = column == row[:, None] + offset
    return scores.masked_fill_(same[rows, columns] & ~own, -math.inf)


def _kernel_fits(a: Tensor, b: Tensor, scale: Tensor) -> bool:
    return takes_kernel(a, b, scale) and a.dtype == b.dtype and a.dtype in DTYPES


def _check(
    predicted: Tensor, target: Tensor, videos: Tensor, texts: Tensor, same: Tensor | None, same_videos: Tensor | None,
    offset: int,
) -> None:  # fmt: skip
    if predicted.ndim != 2 or target.shape != predicted.shape or len(predicted) == 0:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise InputError(f"predicted and target must be (B, E) and alike, B at least 1, not {shapes}")
    if videos.ndim != 2 or texts.shape != videos.shape or videos.shape[1] != predicted.shape[1]:
        shapes = f"{tuple(videos.shape)} and {tuple(texts.shape)}"
        raise InputError(f"all_predicted and all_target must be (M, {predicted.shape[1]}) and alike, not {shapes}")
    if not 0 <= offset <= len(videos) - len(predicted):
        raise InputError(f"offset={offset}: {len(predicted)} rows from there don't lie in {len(videos)}")
    for name, mask in (("same", same), ("same_videos", same_videos)):
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (len(predicted), len(videos))):
            expected = f"bool {(len(predicted), len(videos))}"
            raise InputError(f"{name} must be {expected}, not {str(mask.dtype)[6:]} {tuple(mask.shape)}")
    if (same is None) != (same_videos is None):
        raise InputError("with gathered rows, same and same_videos are given together or not at all")


def launch_lse(a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None, offset: int) -> Tensor:
    a, b, flags = _rows(a), _rows(b), None if same is None else same.view(torch.uint8)
    parts = cdiv(len(b), SPLIT)
    lse = torch.empty((parts, len(a)), dtype=torch.float32, device=a.device)
    tile = tiles(key("info_nce", bits(a)), a)
    launch(
        lse_kernel, (cdiv(len(a), tile.block_m), parts), a, b, scale, flags, lse, a.stride(0), b.stride(0),
        *((0, 0) if flags is None else flags.stride()), len(a), len(b), a.shape[1], offset, SPLIT,
        **tile.options("BLOCK_M", "BLOCK_N", "BLOCK_K"),
    )  # fmt: skip
    return lse.logsumexp(0)


def launch_lse_backward(
    a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None, offset: int, lse: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """da, db in the types of a and b, dscale like scale."""
    a, b, flags = _rows(a), _rows(b), None if same is None else same.view(torch.uint8)
    weight = weight.float().contiguous()
    da = torch.zeros(a.shape, dtype=torch.float32, device=a.device)
    db = torch.zeros(b.shape, dtype=torch.float32, device=a.device)
    drift = torch.empty((len(a),), dtype=torch.float32, device=a.device)
    tile = tiles(key("info_nce_backward", bits(a)), a)
    strides = (0, 0) if flags is None else (flags.stride(0), flags.stride(1))
    for own, other, gradient, of_rows in ((a, b, da, True), (b, a, db, False)):
        launch(
            gradient_kernel, (cdiv(len(own), tile.block_m),), own, other, scale, flags, lse, weight, gradient,
            drift if of_rows else None, own.stride(0), other.stride(0), *(strides if of_rows else strides[::-1]),
            len(own), len(other), a.shape[1], offset, OF_ROWS=of_rows,
            **tile.options("BLOCK_M", "BLOCK_N", "BLOCK_K"),
        )  # fmt: skip
    return da.to(a.dtype), db.to(b.dtype), drift.sum().to(scale.dtype).reshape(scale.shape)


_lse = torch.library.custom_op("vljepa::similarity_lse", launch_lse, mutates_args=())
_lse_backward = torch.library.custom_op("vljepa::similarity_lse_backward", launch_lse_backward, mutates_args=())


@_lse.register_fake
def _(a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None, offset: int) -> Tensor:
    return torch.empty((a.shape[0],), dtype=torch.float32, device=a.device)


@_lse_backward.register_fake
def _(
    a: Tensor, b: Tensor, scale: Tensor, same: Tensor | None, offset: int, lse: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(a), torch.empty_like(b), torch.empty_like(scale)


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    a, b, scale, same, ctx.offset = inputs
    ctx.save_for_backward(a, b, scale, same, output)


def _backward(ctx: Any, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
    a, b, scale, same, lse = ctx.saved_tensors
    da, db, dscale = _lse_backward(a, b, scale, same, ctx.offset, lse, weight)
    return da, db, dscale, None, None


_lse.register_autograd(_backward, setup_context=_save)
