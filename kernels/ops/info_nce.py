"""Bidirectional InfoNCE (section 3 of the paper) without the matrix of logits, in blocks, forward and backward.

One direction, rows a_i against columns b_j with temperature 1 / scale, is the log-sum-exp

    lse_i = log sum_j exp(scale <a_i, b_j>),        dL/d lse_i = w_i,     p_ij = w_i exp(scale <a_i, b_j> - lse_i)
    da_i = scale sum_j p_ij b_j,    db_j = scale sum_i p_ij a_i,    dscale = sum_ij p_ij <a_i, b_j>

and the loss is the mean of lse_i - scale <a_i, b_i> over both directions, halved. The B x B scores exist one block at a
time, forward and again backward, as FlashAttention's do (arXiv 2205.14135); at B = 24576 (the paper's batch) they would
take 2.4 GB in fp32, and their gradient as much again. Under data parallelism the columns are gathered from all ranks
and `offset` says where this rank's begin.

False negatives are told by keys: a row and a column that have a key in common are no negatives of each other. Keys are
compared inside a block, since a mask of all pairs would take 604 MB at that batch.
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
def _shared(ROW_KEYS, COLUMN_KEYS, row, column, rows, columns, KEYS_A: tl.constexpr, KEYS_B: tl.constexpr):
    """Whether one of a row's KEYS_A keys is one of a column's KEYS_B, (BLOCK_M, BLOCK_N)."""
    same = (row[:, None] < 0) & (column[None, :] < 0)
    for p in tl.static_range(KEYS_A):
        of_row = tl.load(ROW_KEYS + row * KEYS_A + p, mask=row < rows, other=0)
        for q in tl.static_range(KEYS_B):
            of_column = tl.load(COLUMN_KEYS + column * KEYS_B + q, mask=column < columns, other=0)
            same = same | (of_row[:, None] == of_column[None, :])
    return same


@triton.jit
def lse_kernel(
    A, B, SCALE, ROW_KEYS, COLUMN_KEYS, LSE, a_row, b_row, rows, columns, width, offset, split,
    KEYS_A: tl.constexpr, KEYS_B: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """lse_i over the `split` columns of this part, in LSE (parts, rows). Grid (blocks of rows, parts).

    A key in common takes column j out of row i's sum, unless it is the row's own, j = i + offset. ROW_KEYS (rows,
    KEYS_A), COLUMN_KEYS (columns, KEYS_B), int64.
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
        if ROW_KEYS is not None:
            same = _shared(ROW_KEYS, COLUMN_KEYS, row, column, rows, columns, KEYS_A, KEYS_B)
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
    A, B, SCALE, ROW_KEYS, COLUMN_KEYS, LSE, WEIGHT, DA, DSCALE, a_row, b_row, rows, columns, width, offset,
    OF_ROWS: tl.constexpr, KEYS_A: tl.constexpr, KEYS_B: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
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
        if ROW_KEYS is not None:
            same = _shared(ROW_KEYS, COLUMN_KEYS, row, column, rows, columns, KEYS_A, KEYS_B)
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
    keys: Tensor | None = None,
    also: Tensor | None = None,
    negatives: Tensor | None = None,
    negative_mask: Tensor | None = None,
    *,
    all_predicted: Tensor | None = None,
    all_target: Tensor | None = None,
    all_keys: Tensor | None = None,
    all_also: Tensor | None = None,
    offset: int = 0,
) -> Tensor:
    """Mean of video-to-text and text-to-video cross-entropy over this rank's rows.

    predicted, target: (B, E) unit rows, row i of one belongs to row i of the other. scale: exp of the learned log
    temperature, a scalar. keys: int64 (B,) of the texts; rows of one key are no negatives of each other. also: int64
    (B, R), more keys that are right for each video: a text with one of them is no negative of that video, nor the video
    of the text. A row's own pair is never taken out. negatives: (B, K, E) more negative texts for each video,
    negative_mask (B, K) true where there is one. all_predicted, all_target (M, E), all_keys (M,) and all_also (M, R'):
    gathered from all ranks, this rank's rows at `offset`; without them M = B. Raises InputError for shapes that don't
    fit.
    """
    gathered = all_predicted is not None or all_target is not None
    videos, texts = (all_predicted, all_target) if gathered else (predicted, target)
    if videos is None or texts is None:
        raise InputError("all_predicted and all_target are given together or not at all")
    if not gathered:
        all_keys, all_also = keys, also
    _check(predicted, target, videos, texts, offset)
    _check_keys(len(predicted), len(videos), keys, also, all_keys, all_also)
    wanted, said = _key_sets(keys, also)
    all_wanted, all_said = _key_sets(all_keys, all_also)
    if not gathered and len(predicted) <= BLOCK and not _kernel_fits(predicted, target, scale):
        return _dense(predicted, target, scale, wanted, said, negatives, negative_mask)
    own = (predicted * target).sum(-1) * scale
    if gathered or _kernel_fits(predicted, target, scale):
        to_text = similarity_lse(predicted, texts, scale, wanted, all_said, offset)
        to_video = similarity_lse(target, videos, scale, said, all_wanted, offset)
    else:  # one pass over the scores does for both
        to_text, to_video = _Blockwise.apply(predicted, target, scale, wanted, said, 0, True)
    if negatives is not None:
        more = _negative_scores(predicted, scale, negatives, negative_mask)
        to_text = torch.cat((to_text[:, None], more), 1).logsumexp(1)
    return ((to_text - own).mean() + (to_video - own).mean()) / 2


def similarity_lse(
    a: Tensor,
    b: Tensor,
    scale: Tensor,
    row_keys: Tensor | None = None,
    column_keys: Tensor | None = None,
    offset: int = 0,
) -> Tensor:
    """lse_i = log sum_j exp(scale <a_i, b_j>) over j = i + offset and all j without a key of i's: a (N, E), b (M, E) ->
    (N,) fp32. row_keys (N, P) and column_keys (M, Q), int64, are given together or not at all.

    Differentiable in a, b and scale; neither pass holds more than a block of the N x M scores.
    """
    if _kernel_fits(a, b, scale):
        lse: Tensor = _lse(a, b, scale, row_keys, column_keys, offset)
        return lse
    lse, _ = _Blockwise.apply(a, b, scale, row_keys, column_keys, offset, False)
    return lse


def reference(
    predicted: Tensor,
    target: Tensor,
    scale: float,
    keys: Tensor | None = None,
    also: Tensor | None = None,
    negatives: Tensor | None = None,
) -> Tensor:
    """The loss in float64, row by row from the definition."""
    a, b, rows = predicted.double(), target.double(), range(len(predicted))
    said = list(rows) if keys is None else keys.tolist()
    right = [{said[i], *([] if also is None else also[i].tolist())} for i in rows]
    terms: list[Tensor] = []
    for i in rows:
        texts = [b[j] for j in rows if j == i or said[j] not in right[i]]
        texts += [] if negatives is None else list(negatives[i].double())
        videos = [a[j] for j in rows if j == i or said[i] not in right[j]]
        for others, own in ((texts, a[i]), (videos, b[i])):
            terms.append((torch.stack(others) @ own * scale).exp().sum().log() - scale * (a[i] @ b[i]))
    return torch.stack(terms).mean()


def _key_sets(keys: Tensor | None, also: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    """The keys that are right for each video, (N, 1 + R), and the key of each text, (N, 1)."""
    if keys is None:
        return None, None
    said = keys[:, None]
    return said if also is None else torch.cat((said, also), 1), said


def _negative_scores(predicted: Tensor, scale: Tensor, negatives: Tensor, mask: Tensor | None) -> Tensor:
    """(B, K)"""
    scores = torch.einsum("be,bke->bk", predicted, negatives) * scale
    return scores if mask is None else scores.masked_fill(~mask, EXCLUDED)


def _dense(
    predicted: Tensor, target: Tensor, scale: Tensor, wanted: Tensor | None, said: Tensor | None,
    negatives: Tensor | None, negative_mask: Tensor | None,
) -> Tensor:  # fmt: skip
    """One block: cross-entropy of the scores themselves."""
    scores = predicted @ target.T * scale
    own = torch.arange(len(scores), device=scores.device)
    if wanted is not None and said is not None:
        same = _shared_keys(wanted, said)
        same[own, own] = False
        scores = scores.masked_fill(same, EXCLUDED)
    texts = scores
    if negatives is not None:
        texts = torch.cat([scores, _negative_scores(predicted, scale, negatives, negative_mask)], 1)
    return (F.cross_entropy(texts, own) + F.cross_entropy(scores.T, own)) / 2


def _shared_keys(row_keys: Tensor, column_keys: Tensor) -> Tensor:
    """Whether a row and a column have a key in common: (N, P) and (M, Q) -> bool (N, M)."""
    same = row_keys[:, :1] == column_keys[:, 0]
    for p in range(row_keys.shape[1]):
        for q in range(column_keys.shape[1]):
            if p or q:
                same |= row_keys[:, p : p + 1] == column_keys[:, q]
    return same


class _Blockwise(torch.autograd.Function):
    """`similarity_lse` in PyTorch: blocks of scores, made again in the backward pass. With `both`, that of the columns
    over the rows too, of which nothing is left without."""

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, scale: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int,
        both: bool,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        of_rows = a.new_full((len(a),), -math.inf, dtype=torch.promote_types(a.dtype, torch.float32))
        of_columns = of_rows.new_full((len(b) if both else 0,), -math.inf)
        for rows, columns in _blocks(len(a), len(b)):
            scores = _block(a, b, row_keys, column_keys, offset, rows, columns).to(of_rows.dtype).mul_(scale)
            if both:
                of_columns[columns] = torch.logaddexp(of_columns[columns], _logsumexp(scores, 0))
            of_rows[rows] = torch.logaddexp(of_rows[rows], _logsumexp(scores, 1))
        ctx.save_for_backward(a, b, scale, row_keys, column_keys, of_rows, of_columns)
        ctx.offset, ctx.both = offset, both
        return of_rows, of_columns

    @staticmethod
    def backward(
        ctx: Any, row_weight: Tensor, column_weight: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, None, None, None, None]:
        a, b, scale, row_keys, column_keys, of_rows, of_columns = ctx.saved_tensors
        da, db = (torch.zeros_like(x, dtype=of_rows.dtype) for x in (a, b))
        dscale = torch.zeros_like(scale, dtype=of_rows.dtype)
        for rows, columns in _blocks(len(a), len(b)):
            scores = _block(a, b, row_keys, column_keys, ctx.offset, rows, columns).to(of_rows.dtype)
            share = (scores * scale).sub_(of_rows[rows, None]).exp_().mul_(row_weight[rows, None])
            if ctx.both:
                share += (scores * scale).sub_(of_columns[columns]).exp_().mul_(column_weight[columns])
            dscale += (share * scores.nan_to_num_(nan=math.nan, neginf=0.0)).sum()
            share = share.mul_(scale).to(a.dtype)
            da[rows] += share @ b[columns]
            db[columns] += share.T @ a[rows]
        return da.to(a.dtype), db.to(b.dtype), dscale.to(scale.dtype), None, None, None, None


def _logsumexp(scores: Tensor, axis: int) -> Tensor:
    """As torch.logsumexp, which takes as long on a CPU as the product that made the block."""
    top = scores.amax(axis, keepdim=True)
    top = torch.where(top == -math.inf, 0.0, top)
    return (scores - top).exp_().sum(axis).log_() + top.squeeze(axis)


def _blocks(rows: int, columns: int) -> list[tuple[slice, slice]]:
    return [
        (slice(i, min(i + BLOCK, rows)), slice(j, min(j + BLOCK, columns)))
        for i in range(0, rows, BLOCK)
        for j in range(0, columns, BLOCK)
    ]


def _block(
    a: Tensor, b: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int, rows: slice, columns: slice
) -> Tensor:
    """<a_i, b_j> of a block, -inf where j is taken out of i's sum."""
    scores = a[rows] @ b[columns].T
    if row_keys is None or column_keys is None:
        return scores
    row = torch.arange(rows.start, rows.stop, device=a.device)
    column = torch.arange(columns.start, columns.stop, device=a.device)
    own = column == row[:, None] + offset
    return scores.masked_fill_(_shared_keys(row_keys[rows], column_keys[columns]) & ~own, -math.inf)


def _kernel_fits(a: Tensor, b: Tensor, scale: Tensor) -> bool:
    return takes_kernel(a, b, scale) and a.dtype == b.dtype and a.dtype in DTYPES


def _check(predicted: Tensor, target: Tensor, videos: Tensor, texts: Tensor, offset: int) -> None:
    if predicted.ndim != 2 or target.shape != predicted.shape or len(predicted) == 0:
        shapes = f"{tuple(predicted.shape)} and {tuple(target.shape)}"
        raise InputError(f"predicted and target must be (B, E) and alike, B at least 1, not {shapes}")
    if videos.ndim != 2 or texts.shape != videos.shape or videos.shape[1] != predicted.shape[1]:
        shapes = f"{tuple(videos.shape)} and {tuple(texts.shape)}"
        raise InputError(f"all_predicted and all_target must be (M, {predicted.shape[1]}) and alike, not {shapes}")
    if not 0 <= offset <= len(videos) - len(predicted):
        raise InputError(f"offset={offset}: {len(predicted)} rows from there don't lie in {len(videos)}")


def _check_keys(
    rows: int, columns: int, keys: Tensor | None, also: Tensor | None, all_keys: Tensor | None, all_also: Tensor | None
) -> None:
    if (keys is None) != (all_keys is None) or (also is None) != (all_also is None):
        raise InputError("with gathered rows, keys and all_keys, also and all_also are given together or not at all")
    if keys is None and also is not None:
        raise InputError("also is given without keys")
    for name, found, shape in (("keys", keys, (rows,)), ("all_keys", all_keys, (columns,))):
        if found is not None and (found.dtype != torch.int64 or found.shape != shape):
            raise InputError(f"{name} must be int64 {shape}, not {str(found.dtype)[6:]} {tuple(found.shape)}")
    for name, found, count in (("also", also, rows), ("all_also", all_also, columns)):
        if found is not None and (found.dtype != torch.int64 or found.ndim != 2 or len(found) != count):
            raise InputError(f"{name} must be int64 ({count}, R), not {str(found.dtype)[6:]} {tuple(found.shape)}")


def launch_lse(
    a: Tensor, b: Tensor, scale: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int
) -> Tensor:
    a, b = _rows(a), _rows(b)
    parts = cdiv(len(b), SPLIT)
    lse = torch.empty((parts, len(a)), dtype=torch.float32, device=a.device)
    tile = tiles(key("info_nce", bits(a)), a)
    launch(
        lse_kernel, (cdiv(len(a), tile.block_m), parts), a, b, scale, _table(row_keys), _table(column_keys), lse,
        a.stride(0), b.stride(0), len(a), len(b), a.shape[1], offset, SPLIT,
        KEYS_A=_keys_each(row_keys), KEYS_B=_keys_each(column_keys), **tile.options("BLOCK_M", "BLOCK_N", "BLOCK_K"),
    )  # fmt: skip
    return lse.logsumexp(0)


def launch_lse_backward(
    a: Tensor, b: Tensor, scale: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int, lse: Tensor,
    weight: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """da, db in the types of a and b, dscale like scale."""
    a, b, weight = _rows(a), _rows(b), weight.float().contiguous()
    da = torch.zeros(a.shape, dtype=torch.float32, device=a.device)
    db = torch.zeros(b.shape, dtype=torch.float32, device=a.device)
    drift = torch.empty((len(a),), dtype=torch.float32, device=a.device)
    tile = tiles(key("info_nce_backward", bits(a)), a)
    of_a, of_b = _table(row_keys), _table(column_keys)
    roles = ((a, b, of_a, of_b, da, True), (b, a, of_b, of_a, db, False))
    for own, other, own_keys, other_keys, gradient, of_rows in roles:
        launch(
            gradient_kernel, (cdiv(len(own), tile.block_m),), own, other, scale, own_keys, other_keys, lse, weight,
            gradient, drift if of_rows else None, own.stride(0), other.stride(0), len(own), len(other), a.shape[1],
            offset, OF_ROWS=of_rows, KEYS_A=_keys_each(own_keys), KEYS_B=_keys_each(other_keys),
            **tile.options("BLOCK_M", "BLOCK_N", "BLOCK_K"),
        )  # fmt: skip
    return da.to(a.dtype), db.to(b.dtype), drift.sum().to(scale.dtype).reshape(scale.shape)


_lse = torch.library.custom_op("vljepa::similarity_lse", launch_lse, mutates_args=())
_lse_backward = torch.library.custom_op("vljepa::similarity_lse_backward", launch_lse_backward, mutates_args=())


@_lse.register_fake
def _(a: Tensor, b: Tensor, scale: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int) -> Tensor:
    return torch.empty((a.shape[0],), dtype=torch.float32, device=a.device)


@_lse_backward.register_fake
def _(
    a: Tensor, b: Tensor, scale: Tensor, row_keys: Tensor | None, column_keys: Tensor | None, offset: int, lse: Tensor,
    weight: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return torch.empty_like(a), torch.empty_like(b), torch.empty_like(scale)


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


def _table(keys: Tensor | None) -> Tensor | None:
    return None if keys is None else keys.contiguous()


def _keys_each(keys: Tensor | None) -> int:
    return 0 if keys is None else keys.shape[1]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    a, b, scale, row_keys, column_keys, ctx.offset = inputs
    ctx.save_for_backward(a, b, scale, row_keys, column_keys, output)


def _backward(ctx: Any, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
    a, b, scale, row_keys, column_keys, lse = ctx.saved_tensors
    da, db, dscale = _lse_backward(a, b, scale, row_keys, column_keys, ctx.offset, lse, weight)
    return da, db, dscale, None, None, None


_lse.register_autograd(_backward, setup_context=_save)
