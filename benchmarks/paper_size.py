"""A checkpoint of the paper's size with random weights: `python -m benchmarks.paper_size FOLDER`.

Joint weights of that size are not public. What an export takes, in time and memory, doesn't depend on their values:
`vljepa export FOLDER --precision fp16 --out paper.vljepa` prints both.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from vljepa_edge.cli.bench import write_clip
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.support.process import peak_memory

_WORDS = ("<unk>", "<start>", "<end>", "what", "is", "happening", "?")


def paper_config() -> VLJepaConfig:
    """The paper's config with EmbeddingGemma-300M's architecture written out, since nothing is downloaded."""
    from transformers import Gemma3TextConfig

    gemma = Gemma3TextConfig(
        vocab_size=262_144, hidden_size=768, intermediate_size=1152, num_hidden_layers=24, num_attention_heads=3,
        num_key_value_heads=1, head_dim=256, max_position_embeddings=2048, use_bidirectional_attention=True,
    )  # fmt: skip
    config = VLJepaConfig.paper()
    return replace(config, y_encoder=replace(config.y_encoder, architecture=gemma.to_dict()))


def write(folder: Path) -> int:
    """The checkpoint with its tokenizers at `folder`; returns how many parameters it has."""
    torch.manual_seed(0)
    model = VLJepa(paper_config()).eval()
    model.save_pretrained(folder, include_frozen=True)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(_WORDS)}, unk_token=_WORDS[0]))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "tokenizers").mkdir(exist_ok=True)
    for role in ("query", "target", "decoder"):
        words.save(str(folder / "tokenizers" / f"{role}.json"))
    return sum(parameter.numel() for parameter in model.parameters())


def one_step(folder: Path) -> str:
    """One optimiser step of the checkpoint on two stretches of a synthetic clip, and what it took."""
    from vljepa_edge.training.config import RunConfig
    from vljepa_edge.training.loop import train

    write_clip(folder / "clip.mp4")
    rows = ("clip.mp4,0,2,what is happening ?,what is", "clip.mp4,2,4,is happening,happening ?")
    (folder / "clips.csv").write_text("\n".join(("path,start,end,question,answer", *rows)) + "\n")
    stage = {"name": "step", "query": True, "steps": 1, "batch": 2, "lr": 5e-5, "data": {"clips": 1.0},
             "frames": {"count": 8, "width": 256, "height": 256}}  # fmt: skip
    report = train(
        RunConfig.model_validate(
            {"name": "paper_size", "out": str(folder / "run"), "init": str(folder), "device": "cpu", "stages": [stage],
             "data": {"clips": {"path": str(folder / "clips.csv")}}, "parallel": {"checkpoint_activations": True},
             "loader": {"workers": 0}}
        )
    )  # fmt: skip
    peak = peak_memory()
    memory = "" if peak is None else f", peak memory {peak / 1e9:.1f} GB"
    return f"{report.steps} step of 2 samples, {report.refused} refused{memory}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to; takes 6 GB, with --step 22 GB")
    parser.add_argument("--step", action="store_true", help="train it for one step on two samples")
    arguments = parser.parse_args()
    print(f"{arguments.folder}: {write(arguments.folder) / 1e9:.2f} B random parameters")
    if arguments.step:
        print(one_step(arguments.folder))


if __name__ == "__main__":
    main()
