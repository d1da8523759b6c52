"""Batches hold the model's own tokens, padded to the longest, and keys that no process makes differently."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tests.training.tiny_bert import tokenizer
from vljepa_edge.errors import InputError
from vljepa_edge.training.batch import Tokens
from vljepa_edge.training.data.collate import Collate, key_of_text
from vljepa_edge.training.data.sample import Sample

WORDS = ["a", "dog", "cat", "runs", "what", "is", "it", "house"]


def pixels(count: int) -> torch.Tensor:
    return torch.zeros((count, 1, 2, 2, 3), dtype=torch.uint8)


def with_keys(*samples: tuple[str, str]) -> list[Sample]:
    return [Sample(str(i), "a.mp4", target, query) for i, (target, query) in enumerate(samples)]


@pytest.fixture(scope="module")
def words() -> Tokenizer:
    return tokenizer(WORDS)


def test_texts_are_transformers_own_tokens_padded_to_the_longest(words: Tokenizer) -> None:
    texts = ["a dog runs", "a cat", "what is it, a house?"]
    collate = Collate(words, words)
    batch = collate([Sample(str(i), "a", text, text[::-1]) for i, text in enumerate(texts)], pixels(3))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer(WORDS), pad_token="[PAD]", unk_token="[UNK]")
    for made, given_texts in ((batch.target, texts), (batch.query, [text[::-1] for text in texts])):
        found = fast(given_texts, padding="longest", return_tensors="pt")
        assert isinstance(made, Tokens)
        assert torch.equal(made.mask, found["attention_mask"].bool())
        assert torch.equal(made.ids * made.mask, found["input_ids"] * found["attention_mask"])
        assert made.ids.dtype == torch.int64
        assert made.mask.dtype == torch.bool


def test_long_texts_are_cut_off_with_their_special_tokens_kept(words: Tokenizer) -> None:
    collate = Collate(words, words, query_tokens=5, target_tokens=3)
    batch = collate(with_keys(("a dog runs " * 100, "what is it " * 100)), pixels(1))
    assert isinstance(batch.target, Tokens)
    assert isinstance(batch.query, Tokens)
    assert batch.target.ids.shape == (1, 3)
    assert batch.query.ids.shape == (1, 5)
    assert batch.target.ids[0].tolist() == [words.token_to_id(piece) for piece in ("[CLS]", "a", "[SEP]")]
    assert len(words.encode("a dog runs " * 100).ids) == 302  # the caller's tokenizer cuts nothing off


def test_what_is_cut_off_is_said(words: Tokenizer) -> None:
    samples = with_keys(("a dog", "what is it"), ("a dog runs", "what"), ("a dog", ""), ("a", "what is a dog"))
    rows = Collate(words, words, query_tokens=5, target_tokens=4).rows(samples)
    assert [row.cut for row in rows] == [
        "", "its target is cut off after 4 tokens, the most that are read",
        "", "its query is cut off after 5 tokens, the most that are read",
    ]  # fmt: skip


def test_without_queries_there_is_no_query(words: Tokenizer) -> None:
    samples = with_keys(("a dog", ""), ("a cat", ""))
    assert Collate(words, words)(samples, pixels(2)).query is None
    assert Collate(None, words)(samples, pixels(2)).query is None


def test_among_queries_an_empty_one_has_no_token(words: Tokenizer) -> None:
    batch = Collate(words, words)(with_keys(("a dog", ""), ("a cat", "what is it")), pixels(2))
    assert isinstance(batch.query, Tokens)
    assert batch.query.mask.sum(1).tolist() == [0, 5]


def test_a_query_for_a_model_that_takes_none_is_an_error(words: Tokenizer) -> None:
    with pytest.raises(InputError, match="the data has queries"):
        Collate(None, words)(with_keys(("a dog", "what")), pixels(1))


def test_keys_are_of_the_text_key_or_the_target(words: Tokenizer) -> None:
    samples = [
        Sample("0", "a", "a dog"),
        Sample("1", "b", "the dog", text_key="a dog"),
        Sample("2", "c", "a cat", also=("a dog", "x")),
        Sample("3", "d", "A dog", also=("y",)),
    ]
    batch = Collate(None, words)(samples, pixels(4))
    dog, cat, other = key_of_text("a dog"), key_of_text("a cat"), key_of_text("A dog")
    assert batch.keys.tolist() == [dog, dog, cat, other]
    assert batch.also is not None
    assert batch.also.tolist() == [
        [dog, dog],
        [dog, dog],
        [dog, key_of_text("x")],
        [key_of_text("y"), other],
    ]
    assert batch.names == ("0", "1", "2", "3")


def test_targets_and_negatives_are_read_behind_the_prompt(words: Tokenizer) -> None:
    samples = [Sample("0", "a", "a dog", "what", negatives=("a cat",))]
    batch = Collate(words, words, target_prompt="it is ", negatives=1)(samples, pixels(1))
    assert isinstance(batch.target, Tokens) and isinstance(batch.query, Tokens) and batch.negatives is not None
    assert isinstance(batch.negatives.texts, Tokens)
    said = [words.decode(tokens.ids[0].tolist()) for tokens in (batch.target, batch.query, batch.negatives.texts)]
    assert said == ["[CLS] it is a dog [SEP]", "[CLS] what [SEP]", "[CLS] it is a cat [SEP]"]
    assert batch.keys.tolist() == [key_of_text("a dog")]


def test_keys_are_the_same_in_another_process() -> None:
    code = "from vljepa_edge.training.data.collate import key_of_text as k; print(k('a dog'), k('größer'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(key_of_text("a dog")), str(key_of_text("größer"))]


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"])), min_size=2, max_size=50, unique=True))
@settings(deadline=None)
def test_texts_that_differ_have_keys_that_differ(texts: list[str]) -> None:
    keys = [key_of_text(text) for text in texts]
    assert len(set(keys)) == len(texts)
    assert torch.tensor(keys, dtype=torch.int64).tolist() == keys


def test_negatives_are_cut_to_their_number_and_masked(words: Tokenizer) -> None:
    samples = [
        Sample("0", "a", "a dog", negatives=("a cat", "a house", "it")),
        Sample("1", "b", "it runs"),
        Sample("2", "c", "a cat", negatives=("dog",)),
    ]
    assert Collate(None, words)(samples, pixels(3)).negatives is None
    batch = Collate(None, words, negatives=2)(samples, pixels(3))
    assert batch.negatives is not None
    assert batch.negatives.mask.tolist() == [[True, True], [False, False], [True, False]]
    texts = batch.negatives.texts
    assert isinstance(texts, Tokens)
    assert texts.ids.shape[0] == 6
    said = [words.decode(row[mask].tolist()) for row, mask in zip(texts.ids, texts.mask, strict=True)]
    expected = ("a cat", "a house", "it runs", "it runs", "dog", "a cat")
    assert said == [f"[CLS] {text} [SEP]" for text in expected]
    assert texts.mask.any(1).all()  # each has an embedding


def test_it_goes_to_workers(words: Tokenizer) -> None:
    samples = with_keys(("a dog", "what"))
    collate = pickle.loads(pickle.dumps(Collate(words, words, target_tokens=4)))
    assert torch.equal(collate(samples, pixels(1)).target.ids, Collate(words, words)(samples, pixels(1)).target.ids)


@pytest.mark.parametrize("numbers", [{"query_tokens": 0}, {"target_tokens": 0}, {"negatives": -1}])
def test_numbers_that_are_none_are_an_error(words: Tokenizer, numbers: dict[str, int]) -> None:
    with pytest.raises(InputError):
        Collate(words, words, **numbers)
