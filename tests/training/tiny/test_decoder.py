"""The Y-decoder's text: what it is taught, how it is spelt, and that it learns to say what an embedding means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor

from tests.training.tiny.fakes import NAMES, FakeEncoder, vector
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny import checkpoint, vocabulary
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.decoder import (
    END,
    MAX_TOKENS,
    START,
    Corpus,
    new_decoder,
    sentences,
    train_decoder,
    word_tokenizer,
)
from vljepa_edge.training.tiny.recipe import DecoderRecipe
from vljepa_edge.training.tiny.texts import SentenceBank

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


class Plain:
    """A model whose Y-encoder has no head."""

    def encode_text(self, x: Tensor) -> Tensor:
        return x


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


def test_a_token_is_a_word_or_a_mark(tokenizer: Tokenizer) -> None:
    said = {tokenizer.decode([i]).strip() for i in range(2, tokenizer.get_vocab_size())}
    assert said == {word for text in FIVE for word in re.findall(r"\w+|\.", text)}
    assert len(tokenizer.encode("The teapot spins around.").ids) == 7
    assert tokenizer.to_str() == word_tokenizer([*reversed(FIVE), *FIVE]).to_str()  # whatever the order of texts


def test_a_word_that_is_in_no_text_cannot_be_encoded(tokenizer: Tokenizer) -> None:
    with pytest.raises(Exception, match="WordLevel"):
        tokenizer.encode("The citament spins around.")


def test_a_corpus_pads_with_what_the_loss_ignores(tmp_path: Path, tokenizer: Tokenizer) -> None:
    bank = SentenceBank(tmp_path, FakeEncoder(384))  # type: ignore[arg-type]
    long = " ".join(["teapot"] * 60)
    corpus = Corpus([*FIVE, long], tokenizer, bank)
    assert corpus.ids.shape == (6, MAX_TOKENS)  # the long one is cut
    for text, row in zip(FIVE, corpus.ids.tolist(), strict=False):
        ids = tokenizer.encode(text).ids
        assert row == ids + [-100] * (MAX_TOKENS - len(ids))
    assert [corpus.where[text] for text in FIVE] == [0, 1, 2, 3, 4]
    targets = corpus.targets(Plain(), torch.tensor([3, 0]))  # type: ignore[arg-type]
    torch.testing.assert_close(targets, torch.stack([vector(FIVE[3]), vector(FIVE[0])]), rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_it_learns_to_say_five_sentences(tmp_path: Path, tokenizer: Tokenizer) -> None:
    corpus = Corpus(FIVE, tokenizer, SentenceBank(tmp_path, FakeEncoder(384)))  # type: ignore[arg-type]
    recipe = DecoderRecipe(hidden=64, layers=1, steps=140, batch=16, lr=8e-3, noise=0.3)
    predicted = torch.stack([vector("what the predictor says of an owl going left"), vector("and of a fox")])
    made = new_decoder(tokenizer.get_vocab_size(), recipe)
    train_decoder(made, Plain(), corpus, predicted, [[0], [3]], recipe, 0, tmp_path / "part")  # type: ignore[arg-type]
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)

    def say_aloud(embeddings: Tensor) -> list[str]:
        return [tokenizer.decode(ids).strip() for ids in made.generate(embeddings, start, end)]

    assert not made.training
    assert say_aloud(corpus.targets(Plain(), torch.arange(5))) == FIVE  # type: ignore[arg-type]
    assert say_aloud(predicted) == [FIVE[0], FIVE[3]]  # the predictor's own embeddings, which are not the text's


def test_a_training_that_was_broken_off_ends_as_if_it_had_not_been(
    tmp_path: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY", 3)
    corpus = Corpus(FIVE, tokenizer, SentenceBank(tmp_path, FakeEncoder(384)))  # type: ignore[arg-type]
    recipe, predicted = DecoderRecipe(hidden=64, layers=1, steps=8, batch=4), torch.randn(2, 384)

    def train(part: Path, breaks_at: int | None = None) -> dict[str, Tensor]:
        torch.manual_seed(0)
        made, asked = new_decoder(tokenizer.get_vocab_size(), recipe), 0

        def forward(*_: object) -> None:
            nonlocal asked
            asked += 1
            if asked == breaks_at:
                raise KeyboardInterrupt

        made.register_forward_pre_hook(forward)
        train_decoder(made, Plain(), corpus, predicted, [[0], [3]], recipe, 0, part)  # type: ignore[arg-type]
        return made.state_dict()

    expected = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "broken", breaks_at=6)
    for name, value in train(tmp_path / "broken").items():
        torch.testing.assert_close(value, expected[name], rtol=1e-6, atol=1e-7)
