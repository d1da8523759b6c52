"""The folder of a run: its config, its log and its checkpoints, each written atomically.

    config.yaml   every value of the run        log.jsonl     a line a measured step
    latest, best  names of checkpoints          checkpoints/  00001200.safetensors, by global step
    model/        the finished model            curves.png    every curve of the log

A checkpoint is one safetensors file: weights, averages and the optimiser's moments by name, whatever the number of
ranks and however they shard, and in its header where the run stands. `latest` is renamed last, so it never names half a
file.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from vljepa_edge.errors import BundleError, InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.config import RunConfig

LATEST, BEST = "latest", "best"
_HEADER = "vljepa_run"
_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class RunFolder:
    """Checkpoints of one run. keep: how many of the last stay, the best one aside."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self._keep = folder, keep
        self.checkpoints = folder / "checkpoints"

    def begin(self, config: RunConfig, resume: bool) -> None:
        """Make the folder and put the config in it. Raises InputError for a run that is there already and is not
        resumed."""
        file, text = self.folder / "config.yaml", config.to_yaml()
        if (self.folder / LATEST).exists() and not resume:
            raise InputError(
                f"{self.folder} holds a run already; resume it with --resume latest, or choose another out"
            )
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        with replacing(file) as part:
            part.write_text(text, encoding="utf-8")

    def save(self, step: int, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, best: bool) -> Path:
        """Write the checkpoint of a global step. Raises OSError, and then nothing has changed."""
        path = self.path(step)
        with replacing(path) as part:
            write_tensors(part, tensors, {_HEADER: json.dumps(header)})
        self._name(LATEST, path)
        if best:
            self._name(BEST, path)
        self._prune()
        return path

    def path(self, step: int) -> Path:
        """Where the checkpoint of a global step is, if there is one."""
        return self.checkpoints / f"{step:08}.safetensors"

    def named(self, name: str) -> Path:
        """The checkpoint that `latest` or `best` names, or a file. Raises InputError for none."""
        path, mark = Path(name), self.folder / name
        if name in (LATEST, BEST) and mark.is_file():
            path = self.checkpoints / mark.read_text("utf-8").strip()
        if not path.is_file():
            raise InputError(f"{name} must be latest, best or a checkpoint file; {self.folder} has no such checkpoint")
        return path

    def has_checkpoint(self) -> bool:
        """Whether there is anything to resume."""
        return (self.folder / LATEST).is_file()

    def _name(self, mark: str, path: Path) -> None:
        with replacing(self.folder / mark) as part:
            part.write_text(path.name, encoding="utf-8")

    def _prune(self) -> None:
        marked = {self.folder / mark for mark in (LATEST, BEST)}
        kept = {mark.read_text("utf-8").strip() for mark in marked if mark.is_file()}
        for path in sorted(self.checkpoints.glob("*.safetensors"))[: -self._keep]:
            if path.name not in kept:
                path.unlink(missing_ok=True)


def write_tensors(file: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """A safetensors file, written one tensor at a time: the library's own function holds all bytes twice, which for the
    paper's size is 15 GB more. Raises OSError."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    at = 0
    for name, value in tensors.items():
        size = value.numel() * value.element_size()
        header[name] = {"dtype": _DTYPES[value.dtype], "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with file.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for value in tensors.values():
            flat = value.detach().cpu().contiguous().reshape(-1)
            out.write(flat.view(torch.uint8).numpy().data)


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and header. Raises BundleError for a file that is damaged or no checkpoint of a run."""
    try:
        with safe_open(path, "pt") as opened:
            header = (opened.metadata() or {}).get(_HEADER)
        if header is None:
            raise BundleError(path, "is no checkpoint of a run: its header lacks one")
        return load_file(path), json.loads(header)
    except (OSError, SafetensorError, ValueError) as error:
        raise BundleError(path, f"can't be read as a checkpoint: {error}") from error
