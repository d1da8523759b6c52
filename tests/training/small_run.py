"""A complete run in small: sources of every part on disk, videos whose colours are their captions, and the YAML."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tests.media import write_video
from tests.nn.small_models import vjepa2
from tests.training.tiny_bert import write_sentence_encoder

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 210), "yellow": (220, 210, 40),
           "white": (235, 235, 235), "black": (15, 15, 15)}  # fmt: skip
SIDES = ("left", "right")
QUESTION = "Which colour is it?"
WORDS = ["a", "square", "on", "the", "is", "it", "which", "colour", "?", *COLOURS, *SIDES]


def picture(colour: str, side: str, shift: int = 0) -> NDArray[np.uint8]:
    """A square on the left or the right of a grey field."""
    image = np.full((48, 64, 3), 120, np.uint8)
    left = (6 if side == "left" else 38) + shift
    image[14:34, left : left + 18] = COLOURS[colour]
    return image


def write_clips(folder: Path, count: int, *, questions: bool = False, seconds: float = 2.0) -> Path:
    """A table of `count` rows over as few videos as there are colours and sides, at 8 frames a second."""
    folder.mkdir(parents=True, exist_ok=True)
    cases = [(colour, side) for colour in COLOURS for side in SIDES]
    for colour, side in cases:
        images = [picture(colour, side, shift) for shift in np.arange(int(8 * seconds)) % 3]
        write_video(folder / f"{colour}_{side}.mp4", images, fps=8)
    rng = np.random.default_rng(0)
    table = folder / ("asked.csv" if questions else "clips.csv")
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", *(("question", "answer") if questions else ("caption",))])
        for number in range(count):
            colour, side = cases[number % len(cases)]
            start = round(float(rng.uniform(0, seconds - 1)), 3)
            said = (QUESTION, colour) if questions else (f"a {colour} square on the {side}",)
            writer.writerow([f"{colour}_{side}.mp4", start, start + 1, *said])
    return table


def tokenizer_of_words(words: Sequence[str] = WORDS) -> Tokenizer:
    """A token a word, after <unk>, <s> and </s>."""
    vocab = {token: i for i, token in enumerate(["<unk>", "<s>", "</s>", *dict.fromkeys(words)])}
    made = Tokenizer(models.WordLevel(vocab, "<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([AddedToken(token, special=True) for token in ("<unk>", "<s>", "</s>")])
    return made


def save_tokenizer(folder: Path) -> None:
    """That of words, as a repository of a language model has it."""
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer_of_words(), unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )
    fast.save_pretrained(folder)


def llama(folder: Path) -> Path:
    """A Llama of 4 layers with a tokenizer of whole words."""
    save_tokenizer(folder)
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=3 + len(dict.fromkeys(WORDS)), hidden_size=32, intermediate_size=48, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


def write_sources(folder: Path, dropout: float = 0.1) -> dict[str, object]:
    """Weights of every part, in the layouts of their makers; the model's config that names them. dropout: of BERT."""
    vjepa2(hidden=48, heads=2, size=32).save_pretrained(folder / "vjepa2")
    llama(folder / "llama")
    write_sentence_encoder(folder / "bert", WORDS, 24)
    config = json.loads((folder / "bert" / "config.json").read_text())
    config |= {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    (folder / "bert" / "config.json").write_text(json.dumps(config))
    vocab = 3 + len(dict.fromkeys(WORDS))
    return {
        "x_encoder": {"source": str(folder / "vjepa2"), "hidden": 48, "layers": 2, "heads": 2, "ffn": 192, "size": 32},
        "language_model": {"source": str(folder / "llama"), "layers": "last 2", "vocab": vocab, "hidden": 32,
                           "max_tokens": 32},
        "predictor": {
            "streams": [{"name": "x_encoder", "dim": 48}], "query_dim": 32, "embedding": 24,
            "stack": {"hidden": 32, "layers": 2, "heads": 4, "kv_heads": 2, "ffn": 48, "rms_eps": 1e-6,
                      "max_positions": 256},
        },
        "y_encoder": {"source": str(folder / "bert"), "hidden": 24, "embedding": 24, "max_tokens": 32},
        "y_decoder": {"vocab": vocab, "hidden": 32, "layers": 2, "heads": 2, "ffn": 64, "max_tokens": 12,
                      "embedding": 24},
    }  # fmt: skip


def write_run(folder: Path, rows: int = 48, *, dropout: float = 0.1, **changes: object) -> Path:
    """run.yaml of both stages on drawn clips, everything that it names beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = {"count": 4, "width": 32, "height": 32}
    stage = {"batch": 16, "frames": frames, "lr": 3e-3, "multipliers": {"y_encoder.": 0.05}}
    run = {
        "name": "small", "out": str(folder / "run"), "init": "sources", "device": "cpu",
        "model": write_sources(folder / "sources", dropout),
        "data": {
            "clips": {"path": str(write_clips(folder / "clips", rows))},
            "check": {"path": str(folder / "clips" / "clips.csv")},
            "asked": {"path": str(write_clips(folder / "clips", rows, questions=True))},
        },
        "stages": [
            {"name": "pretrain", "query": False, "steps": 8, "data": {"clips": 1.0}, **stage},
            {"name": "sft", "query": True, "steps": 6, "data": {"asked": 2.0, "clips": 1.0}, "schedule": "cosine",
             **stage},
        ],
        "parallel": {"bf16": False}, "loader": {"workers": 0}, "checkpoint": {"every": 3, "keep": 2}, "peak": 0.1,
        **changes,
    }  # fmt: skip
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(run))
    return path
