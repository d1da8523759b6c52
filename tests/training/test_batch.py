"""Chunks of a batch hold its rows, each with what belongs to it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.training.batch import Batch, Negatives, Tokens, TokenStates


def batch(rows: int, cached: bool) -> Batch:
    """Every tensor says in each row which row it is."""
    own = torch.arange(rows)
    ids, mask = own[:, None].expand(-1, 3), torch.ones(rows, 3, dtype=torch.bool)
    wrong = torch.repeat_interleave(own, 2)
    texts = wrong.float().reshape(rows, 2, 1) if cached else Tokens(wrong[:, None], torch.ones(2 * rows, 1).bool())
    return Batch(
        {"stream": own.float()[:, None]} if cached else own[:, None],
        own.float()[:, None] if cached else Tokens(ids, mask),
        own,
        TokenStates(ids.float()[..., None], mask) if cached else Tokens(ids, mask),
        own[:, None].expand(-1, 4),
        Negatives(texts, own[:, None].expand(-1, 2)),
        tuple(map(str, range(rows))),
    )


@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=5), cached=st.booleans())
def test_a_chunk_has_its_own_rows_of_everything(counts: list[int], cached: bool) -> None:
    chunks = batch(sum(counts), cached).split(counts)
    assert [len(chunk) for chunk in chunks] == counts
    first = 0
    for chunk, count in zip(chunks, counts, strict=True):
        own = torch.arange(first, first + count)
        first += count
        assert chunk.names == tuple(map(str, own.tolist())) and torch.equal(chunk.keys, own)
        assert chunk.also is not None and chunk.negatives is not None
        if cached:
            assert isinstance(chunk.video, dict) and isinstance(chunk.target, torch.Tensor)
            assert isinstance(chunk.query, TokenStates) and isinstance(chunk.negatives.texts, torch.Tensor)
            found = [chunk.video["stream"], chunk.target, chunk.query.states, chunk.negatives.texts]
        else:
            assert isinstance(chunk.video, torch.Tensor) and isinstance(chunk.target, Tokens)
            assert isinstance(chunk.query, Tokens) and isinstance(chunk.negatives.texts, Tokens)
            found = [chunk.video, chunk.target.ids, chunk.query.ids, chunk.negatives.texts.ids.reshape(count, 2)]
        for tensor in (*found, chunk.also, chunk.negatives.mask):
            assert torch.equal(tensor.reshape(count, -1).long(), own[:, None].expand(-1, tensor[0].numel()))


@pytest.mark.parametrize("cached", [False, True])
def test_what_another_rank_has_is_filled_with_nothing(cached: bool) -> None:
    whole = batch(3, cached)
    bare = replace(whole, query=None, negatives=None)
    assert bare.filled(False, False) is bare and whole.filled(True, True) is whole
    filled = bare.filled(True, True)
    assert isinstance(filled.query, Tokens) and filled.negatives is not None
    assert not filled.query.mask.any() and not filled.negatives.mask.any()
    assert [len(chunk.negatives.mask) for chunk in filled.split([2, 1]) if chunk.negatives is not None] == [2, 1]


def test_a_batch_that_is_there_is_not_copied() -> None:
    given_batch = batch(3, True)
    assert given_batch.to("cpu").keys is given_batch.keys


@pytest.mark.parametrize("cached", [False, True])
def test_a_batch_moves_with_all_it_has(cached: bool) -> None:
    moved = batch(3, cached).to("meta")
    chunk = moved.split([3])[0]
    assert all(t.is_meta for t in (chunk.keys, chunk.also, chunk.negatives.mask))  # type: ignore[union-attr]
