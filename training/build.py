"""A run's model and tokenizers, from what its config names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from vljepa_edge.export.pipeline import tokenizers_of
from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.vljepa import WEIGHTS, VLJepa, checkpoint_folder
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.config import RunConfig


class Start(NamedTuple):
    """What a run starts from. holds_frozen: whether the model's frozen parts are the run's own, random or in the
    checkpoint that it starts from, so that only its own files have them."""

    model: VLJepa
    tokenizers: Tokenizers
    holds_frozen: bool


def build_model(config: RunConfig) -> Start:
    """The model as `init` says, on the CPU, and its three tokenizers. The same in every process of the same config.

    A hub id is resolved once, so all of it is of one commit even while a branch moves. The model's frames are resized
    as the last stage has them.
    Raises BundleError for weights or tokenizers that can't be read, InputError for weights of another size.
    """
    torch.manual_seed(config.seed)
    folder: Path | None = None
    holds_frozen = config.init == "random"
    if config.init == "random":
        model = VLJepa(config.architecture())
    elif config.init == "sources":
        model = VLJepa.assemble(config.architecture())
    else:
        folder = checkpoint_folder(config.init)
        model = VLJepa.from_pretrained(folder)
        with safe_open(folder / WEIGHTS, "pt") as opened:
            holds_frozen = not set(model.frozen()).isdisjoint(opened.keys())
    model.config = replace(model.config, resize=config.stages[-1].frames.resize)
    files = {role: file for role, file in config.tokenizers.model_dump().items() if file is not None}
    return Start(model, tokenizers_of(model.config, folder, files), holds_frozen)


def save_model(model: VLJepa, tokenizers: Tokenizers, folder: Path, *, include_frozen: bool) -> Path:
    """A checkpoint that `vljepa export` and `init` read: config, weights, and the tokenizers beside them."""
    model.save_pretrained(folder, include_frozen=include_frozen)
    (folder / "tokenizers").mkdir(exist_ok=True)
    for role in ("query", "target", "decoder"):
        with replacing(folder / "tokenizers" / f"{role}.json") as part:
            part.write_text(getattr(tokenizers, role).to_str(), encoding="utf-8")
    return folder
