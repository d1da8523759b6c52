"""Rows of all ranks on every rank, with gradient to the ranks that they came from.

A loss over the rows of the complete batch has two ways to come out right under DDP and FSDP2, which take the mean of
the ranks' gradients:

* Each rank makes the part of its own rows, as InfoNCE does with the gathered ones as columns. The mean over its rows
  times `Gathering.share` averages over the ranks to the mean over all rows, whatever each has.
* Every rank makes the same number of all rows, as VICReg's variance wants it. It needs no factor: each row's gradient
  arrives from every rank, and the mean takes that back.

The gather is collective: every rank makes the same calls in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from vljepa_edge.errors import InputError


@dataclass(frozen=True)
class Gathering:
    """Which rows of a batch lie on which rank. counts: rows of each rank; rank: this one, with its device."""

    counts: tuple[int, ...]
    rank: int
    device: torch.device

    @classmethod
    def of(cls, rows: int, device: torch.device) -> Gathering:
        """Of this rank's `rows` among all ranks', which it asks; without a process group there is one rank.

        Raises InputError on every rank where one has no row: it would have no loss.
        """
        if not dist.is_initialized():
            return cls((rows,), 0, device)
        own = torch.tensor([rows], device=device)
        counts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(counts, own)
        gathering = cls(tuple(int(count) for count in counts), dist.get_rank(), device)
        if 0 in gathering.counts:
            raise InputError(f"every rank must have a row of the batch, but they have {list(gathering.counts)}")
        return gathering

    @property
    def rows(self) -> int:
        """Of all ranks together."""
        return sum(self.counts)

    @property
    def offset(self) -> int:
        """Where this rank's rows begin among all."""
        return sum(self.counts[: self.rank])

    @property
    def share(self) -> float:
        """This rank's part of the rows, relative to an even one: what a mean over its own rows is multiplied by, so
        that the mean over ranks is the mean over rows."""
        return self.counts[self.rank] * len(self.counts) / self.rows

    def any(self, *here: bool) -> tuple[bool, ...]:
        """Of each, whether it is so on any rank."""
        if len(self.counts) == 1:
            return here
        found = torch.tensor(here, dtype=torch.int32, device=self.device)
        dist.all_reduce(found, dist.ReduceOp.MAX)
        return tuple(map(bool, found.tolist()))

    def chunks(self, most: int) -> list[int]:
        """Into how many rows each to cut this rank's, so that every rank has as many chunks and none is empty.

        A chunk has `most` rows at most where ranks have as many; where one has fewer rows than another has chunks,
        chunks are as small as that allows.
        """
        count = min(-(-max(self.counts) // most), min(self.counts))
        rows, longer = divmod(self.counts[self.rank], count)
        return [rows + (i < longer) for i in range(count)]

    def __call__(self, own: Tensor) -> Tensor:
        """(own rows, ...) -> (all rows, ...), rank after rank; of any type, the other axes being equal everywhere.

        The gradient of a row is the sum of what all ranks have for it.
        """
        if len(own) != self.counts[self.rank]:
            raise InputError(f"rank {self.rank} said that it has {self.counts[self.rank]} rows, not {len(own)}")
        if len(self.counts) == 1:
            return own
        gathered: Tensor = _AllGather.apply(own, self.counts, self.rank)  # type: ignore[no-untyped-call]
        return gathered

    def padded(self, own: Tensor | None, filling: Tensor) -> Tensor | None:
        """As a call, for (own rows, R) whose R differs between ranks: the widest's R, filled with `filling` (own
        rows,). None stands for R = 0, and comes back where no rank has more."""
        if len(self.counts) == 1:
            return own
        width = torch.tensor(0 if own is None else own.shape[1], device=filling.device)
        missing = -int(width)
        dist.all_reduce(width, dist.ReduceOp.MAX)
        missing += int(width)
        if int(width) == 0:
            return None
        more = filling[:, None].expand(-1, missing)
        return self(more if own is None else torch.cat((own, more), 1))

    def own(self, gathered: Tensor) -> Tensor:
        """This rank's of all rows."""
        return gathered[self.offset : self.offset + self.counts[self.rank]]


class _AllGather(torch.autograd.Function):
    """all_gather of rows and, backward, the sum over ranks of this rank's. Ranks with fewer rows pad them."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, counts: tuple[int, ...], rank: int) -> Tensor:
        ctx.count, ctx.offset = counts[rank], sum(counts[:rank])
        padded = own.new_zeros((max(counts), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[ctx.offset : ctx.offset + ctx.count], None, None
