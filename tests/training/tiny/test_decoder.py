"""The Y-decoder's text: what it is taught, how it is spelt, and that the general trainer teaches it to say that."""

from __future__ import annotations

import re

import pytest
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from tests.training.tiny.fakes import NAMES, vector
from vljepa_edge.training.config import Decoder
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.decoder import END, MAX_TOKENS, START, new_decoder, sentences, word_tokenizer
from vljepa_edge.training.tiny.recipe import DecoderRecipe
from vljepa_edge.training.y_decoder import Pairs, decode, encode_ids, train_decoder

FIVE = [
    "An owl moves to the left.", "The teapot spins around.", "Yes.", "A photo of a red fox.",
    "There is a kite at rest.",
]  # fmt: skip


@pytest.fixture(autouse=True)
def small_vocabulary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "nouns", lambda: ["blacksmith", "turnip", "yurt"])
    monkeypatch.setattr(vocabulary, "people", lambda: ["man", "old woman"])
    monkeypatch.setattr(vocabulary, "actions", lambda: ["walking", "riding a bike"])
    monkeypatch.setattr(vocabulary, "scenes", lambda: ["kitchen", "street"])
    monkeypatch.setattr(vocabulary, "imagenet_names", lambda: [("tabby", "tabby cat"), ("beagle",)])


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return word_tokenizer(FIVE)


def test_sentences_hold_every_trained_caption_and_answer() -> None:
    taught = set(sentences(NAMES, seed=0, wide=300))
    for name in NAMES:
        assert set(say.object_captions(name)) <= taught
        for motion in say.ONE:
            assert set(say.captions(Scene(motion, name))) <= taught
        assert set(say.captions(Scene("left", name, None, 3))) <= taught
    assert {"Yes.", "No.", "One.", "Two.", "Three.", "Left.", "Down.", "Spinning."} <= taught


def test_sentences_hold_wider_words_and_no_unseen_wording() -> None:
    taught = sentences(NAMES, seed=0, wide=300)
    assert taught == sorted(set(taught)) == sentences(NAMES, seed=0, wide=300) != sentences(NAMES, seed=1, wide=300)
    text = " ".join(taught)
    assert all(word in text for word in ("blacksmith", "old woman is riding a bike", "in the kitchen", "tabby"))
    words = [*NAMES, "blacksmith", "turnip", "yurt", "man", "old woman", "tabby", "beagle"]
    unseen = {
        say.caption(Scene(m, w), say.UNSEEN, definite) for m in say.ONE for w in words for definite in (True, False)
    }
    assert not unseen & set(taught)


STRANGE = ["Ünïcode, 猫 and 🦉!", "It's the dog's kite-string (red).", "Two  spaces.", ""]


@pytest.mark.parametrize("text", [*FIVE, *STRANGE])
def test_a_text_of_the_corpus_comes_back_as_it_was(text: str) -> None:
    tokenizer = word_tokenizer([*FIVE, *STRANGE])
    ids = tokenizer.encode(text).ids
    assert ids[0] == tokenizer.token_to_id(START) and ids[-1] == tokenizer.token_to_id(END)
    assert tokenizer.decode(ids).strip() == text
    assert Tokenizer.from_str(tokenizer.to_str()).encode(text).ids == ids


def test_a_mark_that_a_caption_sets_apart_joins_its_word_when_it_is_said() -> None:
    text = "A man , who wears a hat , stands on a street ."
    tokenizer = word_tokenizer([text, *FIVE])
    said = tokenizer.decode(tokenizer.encode(text).ids).strip()
    assert said == "A man, who wears a hat, stands on a street."


def test_a_token_is_a_word_or_a_mark(tokenizer: Tokenizer) -> None:
    said = {tokenizer.decode([i]).strip() for i in range(2, tokenizer.get_vocab_size())}
    assert said == {word for text in FIVE for word in re.findall(r"\w+|\.", text)}
    assert len(tokenizer.encode("The teapot spins around.").ids) == 7
    assert tokenizer.to_str() == word_tokenizer([*reversed(FIVE), *FIVE]).to_str()  # whatever the order of texts


def test_a_word_that_is_in_no_text_cannot_be_encoded(tokenizer: Tokenizer) -> None:
    with pytest.raises(Exception, match="WordLevel"):
        tokenizer.encode("The citament spins around.")


def test_the_general_trainer_spells_as_its_own_special_tokens_do(tokenizer: Tokenizer) -> None:
    """It adds a start and an end of its own, which it finds by their names; a bundle encodes with the tokenizer's."""
    long = " ".join(["teapot"] * 60)
    ids = encode_ids([*FIVE, long], tokenizer, MAX_TOKENS)
    assert ids.shape == (6, MAX_TOKENS)  # the long one is cut
    for text, row in zip(FIVE, ids.tolist(), strict=False):
        own = tokenizer.encode(text).ids
        assert row == own + [-100] * (MAX_TOKENS - len(own))


def test_it_learns_to_say_five_sentences(tokenizer: Tokenizer) -> None:
    torch.manual_seed(0)
    made = new_decoder(tokenizer.get_vocab_size(), DecoderRecipe(hidden=64, layers=1))
    embeddings = F.normalize(torch.stack([vector(text) for text in FIVE]), dim=-1)
    pairs = Pairs(embeddings.half(), encode_ids(FIVE, tokenizer, MAX_TOKENS), len(FIVE))
    config = Decoder(corpus=["x"], steps=200, batch=5, lr=8e-3, warmup=10, noise=0.3)
    train_decoder(made, pairs, config, seed=0, bf16=False, on_step=lambda *_: None)
    assert not made.training
    assert [text.strip() for text in decode(made, embeddings, tokenizer)] == FIVE
