"""A repository as sentence-transformers writes it, and what its modules compute, with numpy."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from transformers import PreTrainedModel


class Map(NamedTuple):
    """A Dense module: weight (out, in), bias (out,) or none, tanh behind it or not."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    tanh: bool


def maps(*widths: int, seed: int = 0) -> list[Map]:
    """Dense modules from width to width; every second one has a bias and a tanh."""
    draw = np.random.default_rng(seed)
    found = []
    for i, (given, out) in enumerate(pairwise(widths)):
        weight = draw.normal(0, given**-0.5, (out, given)).astype(np.float32)
        found.append(Map(weight, draw.normal(0, 0.3, out).astype(np.float32) if i % 2 else None, bool(i % 2)))
    return found


def write_repository(
    folder: Path, model: PreTrainedModel, dense: list[Map], *, pooling: str = "mean_tokens", normalise: bool = True
) -> Path:
    """modules.json, 1_Pooling, 2_Dense, .. as EmbeddingGemma's repository has them."""
    model.save_pretrained(folder)
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modes = {
        f"pooling_mode_{name}": name == pooling for name in ("cls_token", "mean_tokens", "max_tokens", "lasttoken")
    }
    _write(folder / "1_Pooling", {"word_embedding_dimension": 24, **modes, "include_prompt": True})
    for i, module in enumerate(dense):
        place = f"{2 + i}_Dense"
        kinds.append((place, "Dense"))
        activation = "torch.nn.modules.activation.Tanh" if module.tanh else "torch.nn.modules.linear.Identity"
        out, given = module.weight.shape
        about = {"in_features": given, "out_features": out, "bias": module.bias is not None}
        _write(folder / place, {**about, "activation_function": activation})
        state = {"linear.weight": module.weight} | ({} if module.bias is None else {"linear.bias": module.bias})
        save_file(state, folder / place / "model.safetensors")
    if normalise:
        kinds.append((f"{len(kinds)}_Normalize", "Normalize"))
    rows = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(rows))
    return folder


def _write(folder: Path, config: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def sentence(model: PreTrainedModel, ids: list[int], dense: list[Map], token: int | None = None) -> NDArray[np.float64]:
    """The unit vector of one text without padding: the mean over its tokens, or the state of one of them."""
    with torch.no_grad():
        given = {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long)}
        states = model(**given).last_hidden_state[0].double().numpy()
    found = states.mean(0) if token is None else states[token]
    for module in dense:
        found = module.weight.astype(np.float64) @ found + (0 if module.bias is None else module.bias)
        found = np.tanh(found) if module.tanh else found
    unit: NDArray[np.float64] = found / np.linalg.norm(found)
    return unit
