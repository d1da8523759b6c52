"""The Y-decoder says the text whose embedding it is given, light or from a language model, the same in every run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from tests.training.small_run import COLOURS, SIDES, llama, tokenizer_of_words, write_sources
from vljepa_edge.errors import BundleError, ExportError, InputError
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.config import VLJepaConfig, YDecoderConfig
from vljepa_edge.nn.config_json import from_dict
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.nn.y_decoder import YDecoder
from vljepa_edge.training.config import Decoder, Predicted
from vljepa_edge.training.y_decoder import (
    Pairs,
    check_decoder,
    decode,
    embed_texts,
    encode_ids,
    read_corpus,
    split_corpus,
    start_decoder,
    train_decoder,
)

TEXTS = [f"a {colour} square on the {side}" for colour in COLOURS for side in SIDES]


def quiet(*_: object) -> None:
    pass


def embeddings(count: int, width: int = 24) -> torch.Tensor:
    return F.normalize(torch.randn(count, width, generator=torch.Generator().manual_seed(0)), dim=-1).half()


def learned(decoder: YDecoder, tokenizer: Tokenizer, **changes: object) -> list[str]:
    config = Decoder(corpus=["x"], **{"steps": 200, "batch": 12, "lr": 3e-3, "warmup": 10, "noise": 0.1} | changes)
    ids = encode_ids(TEXTS, tokenizer, decoder.config.max_tokens)
    pairs = Pairs(embeddings(len(TEXTS)), ids, len(TEXTS))
    train_decoder(decoder, pairs, config, seed=0, bf16=False, on_step=quiet)
    return decode(decoder, embeddings(len(TEXTS)), tokenizer)


def light() -> YDecoder:
    torch.manual_seed(0)
    vocab = tokenizer_of_words().get_vocab_size()
    return YDecoder(YDecoderConfig(vocab, hidden=32, layers=2, heads=2, ffn=64, max_tokens=12, embedding=24))


def test_it_says_what_it_was_taught() -> None:
    assert learned(light(), tokenizer_of_words()) == TEXTS


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = light(), light()
    learned(first, tokenizer_of_words(), steps=5)
    learned(second, tokenizer_of_words(), steps=5)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_predicted_embeddings_are_learnt_as_they_are_in_their_share() -> None:
    """The text's own embedding is of one place, the predicted one of another: both are said right."""
    tokenizer, decoder, own = tokenizer_of_words(), light(), embeddings(2 * len(TEXTS))
    ids = encode_ids(TEXTS * 2, tokenizer, decoder.config.max_tokens)
    wanted = Predicted(data={"x": 1.0}, share=0.5)
    config = Decoder(corpus=["x"], steps=300, batch=12, lr=3e-3, warmup=10, noise=0.1, predicted=wanted)
    train_decoder(decoder, Pairs(own, ids, len(TEXTS)), config, seed=0, bf16=False, on_step=quiet)
    assert decode(decoder, own, tokenizer) == TEXTS * 2
    alone = light()
    config = config.model_copy(update={"predicted": None})
    train_decoder(alone, Pairs(own, ids, len(TEXTS)), config, seed=0, bf16=False, on_step=quiet)
    said = decode(alone, own, tokenizer)
    assert said[: len(TEXTS)] == TEXTS and said[len(TEXTS) :] != TEXTS


@pytest.fixture(scope="module")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> VLJepa:
    folder = tmp_path_factory.mktemp("sources")
    return VLJepa.assemble(from_dict(VLJepaConfig, write_sources(folder))).eval()


def test_a_language_model_starts_it_as_it_is(assembled: VLJepa, tmp_path: Path) -> None:
    """Its logits are transformers' where the prefix is out of sight: a causal model after the same tokens."""
    tokenizers = Tokenizers(*[tokenizer_of_words()] * 3)
    source = str(llama(tmp_path / "llama"))
    decoder, tokenizer = start_decoder(assembled, tokenizers, Decoder(corpus=["x"], source=source))
    theirs = AutoModelForCausalLM.from_pretrained(source)
    weights = load_file(tmp_path / "llama" / "model.safetensors")
    assert torch.equal(decoder.tokens.weight, weights["model.embed_tokens.weight"])
    ids = torch.tensor([tokenizer.encode("a red square", add_special_tokens=False).ids])
    with torch.no_grad():
        states = decoder.eval().stack(decoder.tokens(ids))
        expected = theirs.model(input_ids=ids).last_hidden_state
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-4)
    assert decoder.config.kv_heads == 2 and decoder.config.embedding == 24
    assert learned(decoder, tokenizer, lr=2e-3) == TEXTS


@pytest.mark.parametrize(("bf16", "apart"), [(False, 2e-3), (True, 3e-2)])
def test_embeddings_are_the_y_encoders_own(assembled: VLJepa, bf16: bool, apart: float) -> None:
    from vljepa_edge.export.pipeline import tokenizers_of

    tokenizer = tokenizers_of(assembled.config, None).target
    found = embed_texts(assembled, tokenizer, TEXTS, quiet, bf16=bf16)
    for text, row in zip(TEXTS, found, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            (expected,) = assembled.encode_text(ids, torch.ones_like(ids))
        torch.testing.assert_close(row.float(), expected, atol=apart, rtol=0)


def test_the_split_is_the_same_and_loses_nothing() -> None:
    texts = [f"text {i}" for i in range(100)]
    kept, held = split_corpus(texts, 200)
    assert (len(kept), len(held)) == (90, 10) and sorted(kept + held) == sorted(texts)
    assert split_corpus(texts, 200) == (kept, held)
    assert split_corpus(texts, 3)[1] != [] and len(split_corpus(texts, 3)[1]) == 3


def test_a_corpus_is_lines_of_files_or_targets_of_sources(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfA dog.\r\n\r\nA cat.\r\nA dog.\n")
    assert read_corpus([str(tmp_path / "a.txt")], {}) == ["A cat.", "A dog."]
    with pytest.raises(InputError, match=r"'gone' must be a text file in UTF-8 or one of the data"):
        read_corpus(["gone"], {})
    (tmp_path / "b.txt").write_text("one\none\n")
    with pytest.raises(InputError, match="at least 2 different texts, got 1"):
        read_corpus([str(tmp_path / "b.txt")], {})


def test_a_text_is_cut_at_the_most_tokens() -> None:
    ids = encode_ids(["a red square on the left", "red"], tokenizer_of_words(), 5)
    start, end = (tokenizer_of_words().token_to_id(token) for token in ("<s>", "</s>"))
    assert ids.shape == (2, 5)
    assert ids[0, 0] == start and ids[0, -1] != end
    assert ids[1].tolist()[2:] == [end, -100, -100]


def between_texts() -> Tokenizer:
    """Special tokens as SmolLM2's tokenizer has them: one stands between texts."""
    words = tokenizer_of_words().to_str()
    made = Tokenizer.from_str(words.replace("<s>", "<|endoftext|>").replace("</s>", "<|im_end|>"))
    assert made.token_to_id("</s>") is None
    return made


def test_a_tokenizer_with_one_token_between_texts_will_do() -> None:
    ids = encode_ids(["a red square", "red"], between_texts(), 12)
    assert ids[:, 0].tolist() == [between_texts().token_to_id("<|endoftext|>")] * 2
    assert ids[0, -1] == ids[1, 2] == ids[0, 0]
    assert learned(light(), between_texts()) == TEXTS


def test_what_the_decoder_lacks_is_said_before_any_step(assembled: VLJepa, tmp_path: Path) -> None:
    words = tokenizer_of_words()
    none = Tokenizer.from_str(words.to_str().replace("<s>", "<begin>"))

    def check(decoder: Tokenizer = words, vocab: int = 99, **config: object) -> None:
        own = replace(assembled.config, y_decoder=YDecoderConfig(vocab, embedding=24))
        run = SimpleNamespace(decoder=Decoder(**{"corpus": ["clips"]} | config))
        check_decoder(SimpleNamespace(config=own), Tokenizers(words, words, decoder), run, {"clips": None})

    check()
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for wrong, error, said in (
        ({"corpus": ["clips", "clisp"]}, InputError, r"'clisp' must be a text file in UTF-8 or one of the data"),
        ({"corpus": [str(tmp_path / "latin.txt")]}, InputError, "must be a text file in UTF-8"),
        ({"vocab": 5}, InputError, "vocab must be at least"),
        ({"decoder": none}, ExportError, "has none of <start>"),
        ({"source": str(tmp_path / "gone")}, BundleError, "gone"),
    ):
        with pytest.raises(error, match=said):
            check(**wrong)


def test_sizes_that_do_not_fit_are_named(assembled: VLJepa) -> None:
    with pytest.raises(InputError, match=r"vocab must be at least \d+, the decoder's tokens, got 5"):
        small = replace(assembled.config, y_decoder=YDecoderConfig(5, embedding=24))
        model = type("Model", (), {"config": small})()
        start_decoder(model, Tokenizers(*[tokenizer_of_words()] * 3), Decoder(corpus=["x"]))
