"""Ranks with a part of the batch each: the loss and the gradients of one process that has it all."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.training.ranks import on_ranks
from vljepa_edge.errors import InputError
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.losses import cosine, info_nce, sigreg, vicreg

CASES = {2: [(4, 4), (4, 3), (1, 6)], 4: [(2, 2, 2, 2), (2, 3, 1, 2)]}
"""Rows of each rank by the number of ranks; 7 samples on 2 ranks among them."""
LOSSES = ("info_nce", "info_nce, keys", "cosine", "vicreg", "sigreg")
CPU = torch.device("cpu")


class Outcome(NamedTuple):
    loss: float
    gradients: list[Tensor]


class Towers(nn.Module):
    """Two linear maps and a temperature, in float64."""

    def __init__(self) -> None:
        super().__init__()
        rng = torch.Generator().manual_seed(3)
        self.video = nn.Parameter(torch.randn((6, 5), generator=rng, dtype=torch.float64))
        self.text = nn.Parameter(torch.randn((4, 5), generator=rng, dtype=torch.float64))
        self.temperature = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, video: Tensor, text: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return F.normalize(video @ self.video, dim=-1), F.normalize(text @ self.text, dim=-1), self.temperature.exp()


def batch(rows: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """video, text, keys, also"""
    rng = torch.Generator().manual_seed(rows)
    video = torch.randn((rows, 6), generator=rng, dtype=torch.float64)
    text = torch.randn((rows, 4), generator=rng, dtype=torch.float64)
    return video, text, torch.randint(5, (rows,), generator=rng), torch.randint(5, (rows, 3), generator=rng)


def part(whole: tuple[Tensor, ...], own: slice, also: int) -> tuple[Tensor, ...]:
    """This rank's rows, and of `also` so many columns; the rest of the row is its own key."""
    video, text, keys, more = (tensor[own] for tensor in whole)
    return video, text, keys, more[:, :also]


def loss_of_part(name: str, gathering: Gathering, towers: Towers, rows: tuple[Tensor, ...]) -> Tensor:
    video, text, keys, also = rows
    predicted, target, scale = towers(video, text)
    if name == "cosine":
        return cosine(predicted, target) * gathering.share
    everything = gathering(predicted), gathering(target)
    if name == "vicreg":
        return vicreg(*everything)
    if name == "sigreg":
        return sigreg(*everything, step=5, directions=16)
    if name == "info_nce":
        loss = info_nce(
            predicted, target, scale, all_predicted=everything[0], all_target=everything[1], offset=gathering.offset
        )
    else:
        all_also = gathering.padded(also, keys)
        assert all_also is not None
        loss = info_nce(
            predicted, target, scale, keys, gathering.own(all_also), all_predicted=everything[0],
            all_target=everything[1], all_keys=gathering(keys), all_also=all_also, offset=gathering.offset,
        )  # fmt: skip
    return loss * gathering.share


def outcomes(rank: int, cases: list[tuple[int, ...]]) -> list[Outcome]:
    """Of every case and loss: means over ranks, as DDP makes them of gradients."""
    found = []
    for counts in cases:
        first = sum(counts[:rank])
        rows = part(batch(sum(counts)), slice(first, first + counts[rank]), 3 - rank % 2)
        for name in LOSSES:
            gathering, towers = Gathering.of(counts[rank], CPU), Towers()
            assert (gathering.counts, gathering.rank, gathering.offset) == (counts, rank, first)
            loss = loss_of_part(name, gathering, towers, rows)
            gradients = list(torch.autograd.grad(loss, list(towers.parameters()), materialize_grads=True))
            values = [loss.detach(), *gradients]
            for value in values:
                dist.all_reduce(value)
                value /= len(counts)
            found.append(Outcome(float(values[0]), values[1:]))
    return found


@pytest.fixture(scope="module", params=CASES)
def made(request: pytest.FixtureRequest) -> tuple[int, list[list[Outcome]]]:
    return request.param, on_ranks(request.param, outcomes, CASES[request.param])


def whole_batch(counts: tuple[int, ...], name: str) -> Outcome:
    """One process. Every other rank had one key less for each of its videos."""
    video, text, keys, also = batch(sum(counts))
    of_rank = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    also[:, 2] = torch.where(of_rank % 2 == 1, keys, also[:, 2])
    towers = Towers()
    loss = loss_of_part(name, Gathering.of(len(keys), CPU), towers, (video, text, keys, also))
    gradients = torch.autograd.grad(loss, list(towers.parameters()), materialize_grads=True)
    return Outcome(float(loss.detach()), list(gradients))


@pytest.mark.parametrize("name", LOSSES)
def test_ranks_with_a_part_each_are_one_with_the_whole(made: tuple[int, list[list[Outcome]]], name: str) -> None:
    ranks, by_rank = made
    for number, counts in enumerate(CASES[ranks]):
        expected = whole_batch(counts, name)
        for found in (outcomes[number * len(LOSSES) + LOSSES.index(name)] for outcomes in by_rank):
            assert found.loss == pytest.approx(expected.loss, rel=1e-9)
            for mine, right in zip(found.gradients, expected.gradients, strict=True):
                torch.testing.assert_close(mine, right, atol=1e-9, rtol=1e-9)


def exchanged(rank: int) -> tuple[Tensor, Tensor, str, str]:
    gathering = Gathering.of(3 - rank, CPU)
    own = (torch.arange(6.0).reshape(3, 2)[: 3 - rank] + 100 * rank).requires_grad_()
    everything = gathering(own)
    (everything * torch.arange(1.0, 6)[:, None] * (rank + 1)).sum().backward()  # type: ignore[no-untyped-call]
    messages = []
    for attempt in (lambda: gathering(own[:1]), lambda: Gathering.of(rank, CPU)):
        with pytest.raises(InputError) as caught:
            attempt()
        messages.append(str(caught.value))
    assert own.grad is not None
    return everything.detach(), own.grad, messages[0], messages[1]


def test_rows_lie_rank_after_rank_and_their_gradients_come_from_every_rank() -> None:
    first, second = on_ranks(2, exchanged)
    rows = torch.tensor([[0.0, 1], [2, 3], [4, 5], [100, 101], [102, 103]])
    assert torch.equal(first[0], rows) and torch.equal(second[0], rows)
    factor = 3 * torch.arange(1.0, 6)[:, None].expand(-1, 2)  # weight of the row, times 1 + 2 of the ranks
    assert torch.equal(first[1], factor[:3]) and torch.equal(second[1], factor[3:])
    assert first[2] == "rank 0 said that it has 3 rows, not 1"
    for message in (first[3], second[3]):  # every rank ends, none waits for the others
        assert "every rank must have a row" in message and "[0, 1]" in message


def padded(rank: int) -> tuple[Tensor | None, Tensor | None]:
    gathering, filling = Gathering.of(2 - rank, CPU), torch.full((2 - rank,), 7 + rank)
    own = torch.full((1, 2), 5) if rank else None
    return gathering.padded(own, filling), gathering.padded(None if rank else filling[:, None][:, :0], filling)


def test_what_only_some_ranks_have_is_filled_for_the_others() -> None:
    for found, nothing in on_ranks(2, padded):
        assert nothing is None
        assert found.tolist() == [[7, 7], [7, 7], [5, 5]]


def test_without_a_process_group_nothing_is_copied() -> None:
    gathering, rows = Gathering.of(5, CPU), torch.ones(5, 2)
    assert (gathering.rows, gathering.offset, gathering.share) == (5, 0, 1.0)
    assert gathering(rows) is rows and gathering.padded(rows, rows[:, 0]) is rows
    assert gathering.padded(None, rows[:, 0]) is None and torch.equal(gathering.own(rows), rows)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=5), most=st.integers(1, 50))
def test_every_rank_has_as_many_chunks_and_none_is_empty(counts: list[int], most: int) -> None:
    cuts = [Gathering(tuple(counts), rank, CPU).chunks(most) for rank in range(len(counts))]
    assert len(set(map(len, cuts))) == 1
    assert [sum(cut) for cut in cuts] == counts and all(min(cut) > 0 for cut in cuts)
    if -(-max(counts) // most) <= min(counts):
        assert max(map(max, cuts)) <= most
