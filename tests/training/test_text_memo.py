"""Texts through a frozen Y-encoder once each: equal to the encoder, whatever their neighbours are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from tests.training.small_run import COLOURS, QUESTION, SIDES, write_sources
from vljepa_edge.export.pipeline import tokenizers_of
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import from_dict
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.batch import Batch, Tokens, TokenStates
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.precision import cast_once
from vljepa_edge.training.text_memo import TextMemo

TEXTS = [f"a {colour} square on the {side}" for colour in COLOURS for side in SIDES] + ["red", "is it red ?"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> VLJepa:
    return VLJepa.assemble(from_dict(VLJepaConfig, write_sources(tmp_path_factory.mktemp("sources")))).eval()


def batch(model: VLJepa, texts: list[str]) -> Batch:
    tokens = tokenizers_of(model.config, None)
    collate = Collate(tokens.query, tokens.target, negatives=2)
    samples = [Sample(text, "", text, QUESTION, negatives=tuple(TEXTS[i : i + i % 3])) for i, text in enumerate(texts)]
    return collate(samples, torch.zeros(len(texts), 1, 8, 8, 3, dtype=torch.uint8))


def test_pooled_states_are_the_encoders(model: VLJepa) -> None:
    plain = batch(model, TEXTS)
    known = TextMemo(model, bf16=False)(plain)
    assert isinstance(known.target, torch.Tensor) and isinstance(plain.target, Tokens)
    with torch.no_grad():
        expected = model.encode_text(plain.target.ids, plain.target.mask)
        torch.testing.assert_close(model.encode_text(known.target), expected, atol=1e-5, rtol=0)
        assert known.negatives is not None and plain.negatives is not None
        own = plain.negatives.texts
        assert isinstance(own, Tokens) and isinstance(known.negatives.texts, torch.Tensor)
        expected = model.encode_text(own.ids, own.mask).reshape(len(TEXTS), 2, -1)
        torch.testing.assert_close(model.encode_text(known.negatives.texts), expected, atol=1e-5, rtol=0)


def test_what_is_made_of_a_text_does_not_depend_on_its_neighbours(model: VLJepa) -> None:
    first = TextMemo(model, bf16=False)(batch(model, TEXTS)).target
    memo, order = TextMemo(model, bf16=False), list(range(len(TEXTS)))
    random.Random(0).shuffle(order)
    for row in order:  # one after another: each is alone in its batch
        (again,) = memo(batch(model, [TEXTS[row]])).target
        assert torch.equal(again, first[row])


def test_queries_stay_ids_where_a_language_model_reads_them(model: VLJepa) -> None:
    known = TextMemo(model, bf16=False)(batch(model, TEXTS))
    if model.query_embedding is None:
        assert isinstance(known.query, TokenStates)
    else:
        assert isinstance(known.query, Tokens)


def test_queries_of_the_y_encoder_become_its_states(tmp_path: Path) -> None:
    from tests.training.tiny.fakes import small_model

    tiny = small_model()
    ids = torch.tensor([[5, 6, 7], [8, 0, 0], [0, 0, 0]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 0, 0]]).bool()
    asked = Batch({}, Tokens(ids[:2], mask[:2]), torch.arange(3), Tokens(ids, mask))
    known = TextMemo(tiny, bf16=False)(asked)
    assert isinstance(known.query, TokenStates)
    with torch.no_grad():
        expected = tiny.query_tokens(ids, mask)
    torch.testing.assert_close(known.query.states[mask], expected[mask], atol=1e-5, rtol=0)
    assert torch.equal(known.query.mask, mask) and not known.query.states[~mask].any()


def test_casting_the_weights_once_changes_no_bit_of_what_autocast_makes(model: VLJepa) -> None:
    tokens = batch(model, TEXTS).target
    assert isinstance(tokens, Tokens)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = model.y_encoder(tokens.ids, tokens.mask)
        found = cast_once(model.y_encoder)(tokens.ids, tokens.mask)
    assert torch.equal(found, expected)
    assert all(weight.dtype == torch.float32 for weight in model.y_encoder.parameters())
