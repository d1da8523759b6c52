"""A run's model and tokenizers, from what its config names."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import safe_open

from vljepa_edge.export.pipeline import tokenizers_of
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.vljepa import WEIGHTS, VLJepa, checkpoint_folder
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.config import RunConfig


def build_model(config: RunConfig) -> tuple[VLJepa, Tokenizers]:
    """The model as `init` says, on the CPU, and its three tokenizers. The same in every process of the same config.

    Raises BundleError for weights or tokenizers that can't be read, InputError for weights of another size.
    """
    torch.manual_seed(config.seed)
    folder: Path | None = None
    if config.init == "random":
        model = VLJepa(config.architecture())
    elif config.init == "sources":
        model = VLJepa.assemble(config.architecture())
    else:
        folder = checkpoint_folder(config.init)
        model = VLJepa.from_pretrained(folder)
    files = {role: file for role, file in config.tokenizers.model_dump().items() if file is not None}
    return model, tokenizers_of(model.config, folder, files)


def save_model(model: VLJepa, tokenizers: Tokenizers, folder: Path, *, include_frozen: bool) -> Path:
    """A checkpoint that `vljepa export` and `init` read: config, weights, and the tokenizers beside them."""
    model.save_pretrained(folder, include_frozen=include_frozen)
    (folder / "tokenizers").mkdir(exist_ok=True)
    for role in ("query", "target", "decoder"):
        with replacing(folder / "tokenizers" / f"{role}.json") as part:
            part.write_text(getattr(tokenizers, role).to_str(), encoding="utf-8")
    return folder


def holds_frozen(config: RunConfig, model: VLJepa) -> bool:
    """Whether the frozen parts are the run's own: random, or in the checkpoint that it starts from."""
    if config.init in ("random", "sources"):
        return config.init == "random"
    with safe_open(checkpoint_folder(config.init) / WEIGHTS, "pt") as opened:
        return not set(model.frozen()).isdisjoint(opened.keys())
