"""`vljepa weights convert`: a .pt or .pth file of others -> a folder of safetensors that this package reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.nn.config import VLJepaConfig
from vljepa_edge.nn.config_json import to_dict
from vljepa_edge.nn.convert.open_vljepa import Sources, convert_open_vljepa, is_open_vljepa
from vljepa_edge.nn.convert.taken import LeftOut, OnStep
from vljepa_edge.nn.convert.torch_file import read_torch_file
from vljepa_edge.nn.convert.vjepa import ENCODERS, convert_vjepa, is_vjepa, is_vjepa2_1
from vljepa_edge.nn.hub import CONFIG
from vljepa_edge.nn.vljepa import MODEL_TYPE, WEIGHTS, VLJepa
from vljepa_edge.nn.x_encoder_folder import write_x_encoder
from vljepa_edge.support.atomic import replacing

KINDS = ("vjepa2", "vjepa2.1", "open-vljepa")


@dataclass(frozen=True)
class Options:
    """What a file doesn't say. kind: one of KINDS; None: as its keys say.

    encoder, heads, size, outputs: of V-JEPA, see `convert_vjepa`. sources: of open-vljepa, see `Sources`.
    """

    kind: str | None = None
    encoder: str | None = None
    heads: int | None = None
    size: int | None = None
    outputs: str | None = None
    sources: Sources = field(default_factory=Sources)


@dataclass(frozen=True)
class Converted:
    """What came out: the folder, the kind of file it was, weights written, what was left out and why."""

    out: Path
    kind: str
    tensors: int
    parameters: int
    left_out: tuple[LeftOut, ...]


def convert_file(source: Path, out: Path, options: Options, on_step: OnStep) -> Converted:
    """Write the folder `out`. Its two files are replaced, each atomically, the config last.

    Raises BundleError for a file that can't be read or is not what it should be, InputError for a wrong option.
    """
    if options.kind not in (None, *KINDS):
        raise InputError(f"kind must be one of {', '.join(KINDS)}, got {options.kind!r}")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} must be a folder, and it is a file")
    data = read_torch_file(source)
    kind = _kind(source, data, options.kind)
    _check_options(kind, options)
    on_step("reading weights", 0, 1)
    if kind == "open-vljepa":
        config, state, left_out = convert_open_vljepa(source, data, on_step, options.sources)
        on_step("writing", 0, 1)
        _write_vl_jepa(out, config, state)
    else:
        x_encoder, state, left_out = convert_vjepa(
            source, data, on_step, version="2.1" if kind == "vjepa2.1" else "2", encoder=options.encoder,
            heads=options.heads, size=options.size, outputs=options.outputs or "last",
        )  # fmt: skip
        on_step("writing", 0, 1)
        write_x_encoder(out, x_encoder, state)
    on_step("writing", 1, 1)
    return Converted(out, kind, len(state), sum(tensor.numel() for tensor in state.values()), tuple(left_out))


def _kind(path: Path, data: Mapping[str, Any], asked: str | None) -> str:
    """What the file is. Raises BundleError when it is none of KINDS, or not the kind that was asked for."""
    if is_open_vljepa(data):
        found = "open-vljepa"
    elif is_vjepa(data):
        found = "vjepa2.1" if is_vjepa2_1(data) else "vjepa2"
    else:
        keys = ", ".join(sorted(data)[:6]) or "no key"
        raise BundleError(
            path,
            f"has {keys}; a V-JEPA file has one of {', '.join(ENCODERS)}, "
            "an open-vljepa checkpoint has model_state_dict with predictor.vis_proj",
        )
    if asked not in (None, found):
        raise BundleError(path, f"is {found} by its keys, not {asked}")
    return found


def _check_options(kind: str, options: Options) -> None:
    """Raises InputError for an option that says nothing about this kind of file."""
    of_vjepa = {name: getattr(options, name) for name in ("encoder", "heads", "size", "outputs")}
    of_open = {name: getattr(options.sources, name) for name in ("x_encoder", "language_model", "y_encoder")}
    for name, value in (of_vjepa if kind == "open-vljepa" else of_open).items():
        if value is not None:
            raise InputError(f"--{name.replace('_', '-')} does not apply to {kind}")
    if kind == "vjepa2" and options.outputs == "all":
        raise InputError("--outputs all does not apply to vjepa2, which has one norm, after its last layer")


def _write_vl_jepa(folder: Path, config: VLJepaConfig, state: Mapping[str, Tensor]) -> None:
    """The folder as VLJepa.save_pretrained writes it, without the X-encoder's weights."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / WEIGHTS) as part:
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, part, metadata={"format": "pt"})
    header = {"model_type": MODEL_TYPE, "architectures": [VLJepa.__name__]}
    with replacing(folder / CONFIG) as part:
        part.write_text(json.dumps({**header, **to_dict(config)}, indent=2) + "\n", encoding="utf-8")
