"""Tokens in C++ are those of the tokenizers package: of the default bundle, a trained byte-level BPE and the toy."""

from __future__ import annotations

import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from tests.cpp_programs import program
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle import default_bundle
from vljepa_edge.perception.tokenizer import BundleTokenizer

MOST = 24
TEXTS = [
    *(
        "",
        "What is happening?",
        "Is there a cup?",
        "  two  spaces\tand a tab\n\nlines ",
        "A dog's tail isn't wagging; they'll see.",
    ),
    *(
        "UPPER lower MiXeD",
        "numbers 12345 and 3.14, #tags @home",
        "[CLS] inside [SEP] a text",
        "x" * 150,
        "unaffable" * 9,
        "a cup " * 40,
    ),
    *(
        "tail  ",
        " 'twas",
        "don't we're I've I'm he'd",
        "a\x00b\x7fc\x1bd",
        "\r\n",
        "e.g. (this) -- that...",
        "<s>word</s>",
    ),
]


def random_texts(count: int) -> list[str]:
    """ASCII of all kinds, mostly words."""
    chance = random.Random(0)
    letters = "abcdefghijklmnopqrstuvwxyzABC      '.,!?-0123456789\t\n" + "".join(map(chr, range(128)))
    return ["".join(chance.choice(letters) for _ in range(chance.randrange(40))) for _ in range(count)]


def byte_level(folder: Path) -> Path:
    """A BPE as GPT-2's and Llama 3's are, of a few hundred merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = ["the man is riding a bicycle down the street", "a cup on the table isn't moving", "it's 12 o'clock"] * 20
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        corpus,
        trainers.BpeTrainer(
            vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>", "</s>"], show_progress=False
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "bpe.json"))
    return folder / "bpe.json"


def llama_like(folder: Path) -> Path:
    """Decodes as SentencePiece's exports do: words that begin with a block, and bytes by number."""
    vocabulary = {"<s>": 0, "▁a": 1, "▁cup": 2, "s": 3, "<0xC3>": 4, "<0xA9>": 5, "<0xFF>": 6, "▁": 7}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.save(str(folder / "llama.json"))
    return folder / "llama.json"


FILES: dict[str, Callable[[Path], Path]] = {
    "query": lambda _: default_bundle() / "tokenizers/query.json",
    "decoder": lambda _: default_bundle() / "tokenizers/decoder.json",
    "toy query": lambda folder: write_toy_bundle(folder / "toy") / "tokenizers/query.json",
    "toy decoder": lambda folder: write_toy_bundle(folder / "toy") / "tokenizers/decoder.json",
    "byte-level BPE": byte_level,
    "llama-like": llama_like,
}


def told(file: Path, lines: list[str]) -> list[str]:
    done = subprocess.run(
        [program("tokenize"), file, str(MOST)],
        input="\n".join(lines) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", ["query", "toy query", "byte-level BPE"])
def test_texts_become_the_same_tokens(name: str, tmp_path: Path) -> None:
    file = FILES[name](tmp_path)
    tokenizer = Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MOST)
    texts = TEXTS + random_texts(300)
    found = told(file, [f"e {text.encode().hex()}" for text in texts])
    expected = [tokenizer.encode(text).ids[:MOST] for text in texts]
    differing = [(t, f, e) for t, f, e in zip(texts, found, expected, strict=True) if f.split() != list(map(str, e))]
    assert not differing, differing[:3]
    tokenizer.no_truncation()
    counts = [len(tokenizer.encode(text).ids) for text in texts]
    cutting = BundleTokenizer(name, file.read_bytes(), MOST)
    assert [cutting.count(text) for text in texts] == counts and max(counts) > 2 * MOST
    assert told(file, [f"c {text.encode().hex()}" for text in texts]) == list(map(str, counts))


@pytest.mark.parametrize("name", FILES)
def test_tokens_become_the_same_text(name: str, tmp_path: Path) -> None:
    file = FILES[name](tmp_path)
    tokenizer = Tokenizer.from_file(str(file))
    chance = random.Random(1)
    size = tokenizer.get_vocab_size()
    rows = [[chance.randrange(size + 3) for _ in range(chance.randrange(12))] for _ in range(200)]
    found = told(file, ["d " + " ".join(map(str, row)) for row in rows])
    expected = [tokenizer.decode(row).strip() for row in rows]
    differing = [(r, f, e) for r, f, e in zip(rows, found, expected, strict=True) if bytes.fromhex(f).decode() != e]
    assert not differing, differing[:3]


def test_what_is_not_known_is_refused_by_name(tmp_path: Path) -> None:
    (answer,) = told(default_bundle() / "tokenizers/query.json", [f"e {'café'.encode().hex()}"])
    assert "a text must be ASCII for libvljepa" in answer and "vljepa query" in answer
    unigram = tmp_path / "unigram.json"
    Tokenizer(models.Unigram([("a", -1.0)])).save(str(unigram))
    (answer,) = told(unigram, ["e 61"])
    assert "unigram.json: the model Unigram is not known to libvljepa" in answer
    unigram.write_text("{")
    (answer,) = told(unigram, ["e 61"])
    assert "is not a tokenizer in the Hugging Face tokenizers format" in answer
