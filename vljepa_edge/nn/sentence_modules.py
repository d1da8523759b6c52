"""What sentence-transformers puts behind a model: pooling, Dense modules and Normalize, as its repositories say.

modules.json lists them in order, each with the folder of its config.json and weights: EmbeddingGemma has a mean over
tokens, Dense 768 to 3072, Dense 3072 to 768 and Normalize.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from vljepa_edge.errors import BundleError
from vljepa_edge.nn.config import DenseConfig, YEncoderConfig
from vljepa_edge.nn.hub import hub_id

MODULES = "modules.json"
_POOLING = {"pooling_mode_mean_tokens": "mean", "pooling_mode_lasttoken": "last"}
_ACTIVATIONS = {"Identity": "identity", "Tanh": "tanh"}


class SentenceModules(NamedTuple):
    """What is behind the model; `states` are the Dense modules' weights."""

    pooling: str
    dense: tuple[DenseConfig, ...]
    normalise: bool
    states: tuple[dict[str, Tensor], ...]

    def taken(self, config: YEncoderConfig) -> YEncoderConfig:
        """The config with these modules."""
        return replace(config, pooling=self.pooling, end_ids=(), dense=self.dense, normalise=self.normalise)


def read_sentence_modules(source: str | Path) -> SentenceModules:
    """Of a folder or a hub id (NAME or NAME@REVISION).

    Raises BundleError when there is no modules.json, and for a module, pooling or activation that is not supported.
    """
    entries = _json(source, MODULES)
    if not isinstance(entries, list) or not all(isinstance(item, dict) for item in entries):
        raise BundleError(f"{source}/{MODULES}", "must be a list of modules")
    names = [str(item.get("type", "")).rpartition(".")[2] for item in entries]
    kinds = names[1:-1] if names[-1:] == ["Normalize"] else names[1:]
    if names[:1] != ["Transformer"] or kinds[:1] != ["Pooling"] or set(kinds[1:]) - {"Dense"}:
        allowed = "Transformer, Pooling, Dense (any number of them), Normalize (or not), in this order"
        raise BundleError(f"{source}/{MODULES}", f"has the modules {', '.join(names)}; allowed are {allowed}")
    folders = [str(item.get("path", "")) for item in entries]
    if folders[0]:
        raise BundleError(f"{source}/{MODULES}", f"the Transformer must be in the folder itself, not in {folders[0]}")
    dense = [_dense(source, folder) for folder in folders[2 : 1 + len(kinds)]]
    return SentenceModules(
        _pooling(source, folders[1]),
        tuple(config for config, _ in dense),
        names[-1] == "Normalize",
        tuple(state for _, state in dense),
    )


def _pooling(source: str | Path, folder: str) -> str:
    path = f"{folder}/config.json"
    config = _json(source, path)
    modes = [name for name, on in config.items() if name.startswith("pooling_mode_") and on is True]
    if len(modes) != 1 or modes[0] not in _POOLING:
        raise BundleError(f"{source}/{path}", f"must pool by one of {', '.join(_POOLING)}, got {', '.join(modes)}")
    return _POOLING[modes[0]]


def _dense(source: str | Path, folder: str) -> tuple[DenseConfig, dict[str, Tensor]]:
    path = f"{folder}/config.json"
    said = _json(source, path)
    activation = str(said.get("activation_function", "")).rpartition(".")[2]
    if activation not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise BundleError(f"{source}/{path}", f"activation_function must be one of {known}, got {activation!r}")
    try:
        config = DenseConfig(
            int(said["in_features"]), int(said["out_features"]), bool(said.get("bias", True)), _ACTIVATIONS[activation]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{source}/{path}", f"must have in_features and out_features: {error}") from error
    file = _file(source, f"{folder}/model.safetensors")
    try:
        state = load_file(file)
    except (OSError, SafetensorError) as error:
        raise BundleError(file, f"can't be read: {error}") from error
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (config.out_features, config.in_features)}
    if config.bias:
        expected["linear.bias"] = (config.out_features,)
    if shapes != expected:
        raise BundleError(file, f"has {shapes}, but {path} says {expected}")
    return config, state


def _json(source: str | Path, name: str) -> Any:
    path = _file(source, name)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(path, f"can't be read: {error}") from error


def _file(source: str | Path, name: str) -> Path:
    """The file here, of a folder or out of the hub's cache."""
    found = hub_id(source)
    if found is None:
        path = Path(source) / name
        if not path.is_file():
            raise BundleError(path, "is not here; a repository of sentence-transformers has it")
        return path
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(found.name, name, revision=found.revision))
    except Exception as error:  # huggingface_hub's many errors share no base
        raise BundleError(f"{source}/{name}", f"the hub doesn't give it: {error}") from error
