"""An X-encoder's weights in our own layout: config.json, an XEncoderConfig, and model.safetensors, an XEncoder's state.

V-JEPA 2.1 has no other layout that can be read without running code; `vljepa weights convert` writes this one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from vljepa_edge.errors import BundleError
from vljepa_edge.nn.config_json import from_dict, to_dict
from vljepa_edge.nn.hub import CONFIG, hub_id
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import XEncoderConfig
from vljepa_edge.support.atomic import replacing

WEIGHTS = "model.safetensors"
MODEL_TYPE = "vl_jepa_x_encoder"


def x_encoder_folder(path_or_id: str | Path) -> Path | None:
    """The folder of this layout that a path or a hub id (NAME or NAME@REVISION) names; None where it is of another.

    Of a hub id only config.json is fetched first, and the weights if it is ours. Raises BundleError if they don't come.
    """
    found = hub_id(path_or_id)
    if found is None:
        return Path(path_or_id) if _is_ours(Path(path_or_id) / CONFIG) else None
    from huggingface_hub import hf_hub_download

    try:
        config = Path(hf_hub_download(found.name, CONFIG, revision=found.revision))
    except Exception:  # huggingface_hub's many errors share no base; transformers says what is wrong with the id
        return None
    if not _is_ours(config):
        return None
    try:
        return Path(hf_hub_download(found.name, WEIGHTS, revision=found.revision)).parent
    except Exception as error:
        raise BundleError(path_or_id, f"the hub doesn't give {WEIGHTS}: {error}") from error


def _is_ours(config: Path) -> bool:
    try:
        data = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(data, dict) and data.get("model_type") == MODEL_TYPE


def write_x_encoder(folder: Path, config: XEncoderConfig, state: Mapping[str, Tensor]) -> None:
    """Write both files, each atomically, the config last."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as part:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, part, metadata={"format": "pt"})
    text = json.dumps({"model_type": MODEL_TYPE, **to_dict(config)}, indent=2) + "\n"
    with replacing(folder / CONFIG) as part:
        part.write_text(text, encoding="utf-8")


def read_x_encoder_config(folder: Path, source: str | Path) -> XEncoderConfig:
    """The config; `source` is what its source says, the path or hub id that the folder was found by.

    Raises BundleError for a broken file, InputError for a wrong value.
    """
    path = folder / CONFIG
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(path, f"can't be read: {error}") from error
    del data["model_type"]
    return replace(from_dict(XEncoderConfig, data), source=str(source))


def read_x_encoder(folder: Path, source: str | Path) -> XEncoder:
    """The encoder, frozen. Raises BundleError for a broken file or weights that don't fit the config."""
    config = read_x_encoder_config(folder, source)
    file = folder / WEIGHTS
    encoder = XEncoder(config)
    try:
        encoder.load_state_dict(load_file(file))
    except (OSError, SafetensorError) as error:
        raise BundleError(file, f"can't be read: {error}") from error
    except RuntimeError as error:
        raise BundleError(file, f"its weights don't fit {CONFIG}: {error}") from error
    return encoder.eval()
