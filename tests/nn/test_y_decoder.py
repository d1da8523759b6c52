"""The Y-decoder: causal, conditioned, greedy."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vljepa_edge.errors import InputError
from vljepa_edge.nn.config import YDecoderConfig
from vljepa_edge.nn.y_decoder import YDecoder

CONFIG = YDecoderConfig(vocab=30, hidden=32, layers=2, heads=4, ffn=48, prefix=3, max_tokens=8, embedding=12)


@pytest.fixture
def decoder() -> YDecoder:
    torch.manual_seed(0)
    decoder = YDecoder(CONFIG).eval()
    for parameter in decoder.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.2)
    return decoder


def test_logits_do_not_see_what_comes_after(decoder: YDecoder) -> None:
    embedding, ids = torch.randn(2, 12), torch.randint(0, 30, (2, 8))
    changed = ids.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % 30
    before, after = decoder(embedding, ids), decoder(embedding, changed)
    assert before.shape == (2, 8, 30)
    torch.testing.assert_close(before[:, :5], after[:, :5], atol=1e-6, rtol=0)
    assert bool(((before[:, 5:] - after[:, 5:]).abs().amax(-1) > 1e-3).all())


def test_every_logit_sees_the_embedding(decoder: YDecoder) -> None:
    embedding, ids = torch.randn(1, 12), torch.randint(0, 30, (1, 8))
    difference = (decoder(embedding, ids) - decoder(embedding + 1, ids)).abs().amax(-1)
    assert bool((difference > 1e-3).all())


@pytest.mark.parametrize("pieces", [(1,) * 6, (6,), (2, 1, 3)])
def test_a_cache_gives_what_all_of_the_text_gives(decoder: YDecoder, pieces: tuple[int, ...]) -> None:
    embedding, ids = torch.randn(2, 12), torch.randint(0, 30, (2, 6))
    past = torch.zeros(2, decoder.stack.cache_rows, 0, decoder.stack.config.head_size)
    read = 0
    for piece in pieces:
        logits, past = decoder.step(embedding, ids[:, read : read + piece], past)
        read += piece
        assert past.shape[2] == CONFIG.prefix + read
        torch.testing.assert_close(logits, decoder(embedding, ids[:, :read])[:, -1], atol=1e-5, rtol=1e-4)


def test_output_layer_is_the_token_embedding(decoder: YDecoder) -> None:
    assert sum(p.numel() for n, p in decoder.named_parameters() if 30 in p.shape) == 30 * 32


def test_learns_to_say_what_the_embedding_holds() -> None:
    torch.manual_seed(0)
    decoder = YDecoder(CONFIG)
    embedding = F.normalize(torch.randn(6, 12), dim=-1)
    ids = torch.cat((torch.ones(6, 1, dtype=torch.long), torch.randint(3, 30, (6, 4)), torch.full((6, 1), 2)), dim=1)
    ids[0, 3:] = 2  # a shorter one
    optimiser = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(60):
        logits = decoder(embedding, ids[:, :-1])
        loss = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    said = decoder.eval().generate(embedding, start=1, end=2)
    assert said == [row[1 : row.index(2)] for row in ids.tolist()]


def test_greedy_text_with_the_cache_is_that_without(decoder: YDecoder) -> None:
    embedding = torch.randn(4, 12)
    ids = torch.ones(4, 1, dtype=torch.long)
    for _ in range(8):
        ids = torch.cat((ids, decoder(embedding, ids)[:, -1:].argmax(-1)), dim=1)
    rows = [row[1:] for row in ids.tolist()]
    end = rows[0][3]
    expected = [row[: row.index(end)] if end in row else row for row in rows]
    assert decoder.generate(embedding, start=1, end=end) == expected


def test_generation_stops_at_max_tokens(decoder: YDecoder) -> None:
    assert [len(row) for row in decoder.generate(torch.randn(3, 12), start=1, end=-1)] == [8, 8, 8]


def test_wrong_inputs_are_refused(decoder: YDecoder) -> None:
    ids = torch.zeros(2, 4, dtype=torch.long)
    for embedding, tokens in (
        (torch.zeros(2, 11), ids),
        (torch.zeros(12), ids),
        (torch.zeros(3, 12), ids),
        (torch.zeros(2, 12), ids[:, :0]),
        (torch.zeros(2, 12), torch.zeros(2, 9, dtype=torch.long)),
    ):
        with pytest.raises(InputError):
            decoder(embedding, tokens)
    with pytest.raises(InputError):
        YDecoderConfig(vocab=30, hidden=30, heads=4)
