"""Speed of training on this machine: samples a second, share of the peak of its matrix products, waiting for data.

Two runs of the trainer: a predictor of the default's size on cached features, and a model of 6 M parameters in the
paper's shape from video files, read by two workers. Figures are medians over the last half of the steps.
Run it with `python -m benchmarks.training`.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from benchmarks.clip import make_clip
from vljepa_edge.nn.config import (
    LanguageModelConfig,
    LlamaStackConfig,
    PredictorConfig,
    StreamConfig,
    VLJepaConfig,
    YEncoderConfig,
)
from vljepa_edge.nn.config_json import to_dict
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.training.budget import parts
from vljepa_edge.training.config import RunConfig
from vljepa_edge.training.loop import train
from vljepa_edge.training.observe import read_log

_WORDS = ("<unk>", "<s>", "</s>", "what", "is", "happening", "a", "car", "turns", "left", "person", "walks", "by")
_MINILM = {
    "model_type": "bert", "vocab_size": 30522, "hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12,
    "intermediate_size": 1536, "max_position_embeddings": 512,
}  # fmt: skip
_SMALL_BERT = {
    "model_type": "bert", "vocab_size": 64, "hidden_size": 192, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 768, "max_position_embeddings": 64,
}  # fmt: skip


def tiny_stage_2(folder: Path) -> RunConfig:
    """The default's predictor over MiniLM's size, batches of 128, features cached."""
    config = to_dict(VLJepaConfig.tiny())
    config["y_encoder"]["architecture"] = _MINILM
    return _run(folder, "tiny_stage_2", config, batch=128, cache=True, size=224, count=8)


def small_paper(folder: Path) -> RunConfig:
    """6 M parameters in the paper's shape: 8 frames of 128 x 128 from files, batches of 32."""
    config = VLJepaConfig(
        x_encoder=XEncoderConfig("none", 192, 4, 4, 768, 128, 16, 2),
        language_model=LanguageModelConfig("none", "all", vocab=64, hidden=192),
        predictor=PredictorConfig(
            (StreamConfig("x_encoder", 192),), 192, 192, LlamaStackConfig(192, 4, 4, 2, 512, max_positions=512)
        ),
        y_encoder=YEncoderConfig("none", 192, 192, max_tokens=32, architecture=_SMALL_BERT),
    )
    return _run(folder, "small_paper", to_dict(config), batch=32, cache=False, size=128, count=8)


def _run(
    folder: Path, name: str, model: dict[str, Any], *, batch: int, cache: bool, size: int, count: int
) -> RunConfig:
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token=_WORDS[0]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(folder / "words.json"))
    files = dict.fromkeys(("query", "target", "decoder"), str(folder / "words.json"))
    stage = {"name": "sft", "query": True, "steps": 24, "batch": batch, "lr": 1e-4, "data": {"clips": 1.0},
             "cache": cache, "frames": {"count": count, "width": size, "height": size}}  # fmt: skip
    return RunConfig.model_validate(
        {"name": name, "out": str(folder / name), "device": "cpu", "init": "random", "model": model,
         "tokenizers": files, "data": {"clips": {"path": str(folder / "clips.csv")}}, "stages": [stage],
         "checkpoint": {"every": 1000}}
    )  # fmt: skip


def write_table(folder: Path) -> str:
    """96 stretches of two seconds of the benchmarks' clip, each with a question; returns what the clip is."""
    path, what = make_clip(folder)
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "start", "end", "question", "answer"])
        for number in range(96):
            start = number / 96 * 6
            writer.writerow([path, f"{start:.3f}", f"{start + 2:.3f}", "what is happening", f"a car turns {number}"])
    return what


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{write_table(folder)}; {torch.get_num_threads()} threads")
        for config in (tiny_stage_2(folder), small_paper(folder)):
            train(config)
            (curves,) = read_log(config.folder / "log.jsonl").values()
            half = sorted(curves["loss"])[len(curves["loss"]) // 2 :]
            found = {
                key: statistics.median(curves[key][step] for step in half)
                for key in ("samples_per_s", "mfu", "data_wait")
            }
            trained = sum(part.trained for part in parts(config.architecture(), config.stages[0]))
            print(
                f"{config.name}: {trained / 1e6:.1f} M parameters trained, {found['samples_per_s']:.1f} samples/s, "
                f"{100 * found['mfu']:.0f} % of the matrix products' peak, "
                f"waiting for data {100 * found['data_wait']:.1f} %"
            )


if __name__ == "__main__":
    main()
