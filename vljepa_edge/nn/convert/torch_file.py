"""Reading a file that torch.save wrote, without running code: tensors and plain values only."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vljepa_edge.errors import BundleError

SUFFIXES = (".pt", ".pth")


def read_torch_file(path: Path) -> dict[str, Any]:
    """The dict in the file; its tensors stay on the disk until they are used.

    Raises BundleError for another suffix, for a file that is missing, cut off or of torch's old format, for one that
    needs code to be loaded, and for one that holds anything but a dict with text as keys.
    """
    if path.suffix not in SUFFIXES:
        raise BundleError(path, f"must be a file that torch.save wrote, {' or '.join(SUFFIXES)}")
    if not path.is_file():
        raise BundleError(path, "is a folder, not a file" if path.is_dir() else "is not here")
    if not _is_zip(path):
        raise BundleError(path, "is cut off, or not a file that torch.save has written since PyTorch 1.6")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        code = re.search(r"(?:GLOBAL|global) ([\w.]+)", str(error))
        wanted = f" ({code[1]})" if code else ""
        raise BundleError(path, f"runs code when it is loaded{wanted}, so it is not; tensors alone are read") from error
    except Exception as error:  # a damaged pickle makes its reader fail in any way
        raise BundleError(path, f"torch can't read it: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise BundleError(path, f"must hold a dict with text as keys, got {type(found).__name__}")
    return found


def _is_zip(path: Path) -> bool:
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # a damaged end
        return False


def tensors_of(path: Path, key: str, value: object) -> dict[str, Tensor]:
    """A state dict below `key`. Raises BundleError, naming what is none, unless it is a dict of tensors."""
    if not isinstance(value, Mapping):
        raise BundleError(path, f"{key} must be a dict of tensors, got {type(value).__name__}")
    for name, item in value.items():
        if not isinstance(name, str) or not isinstance(item, Tensor):
            raise BundleError(path, f"{key} must hold tensors by name, got {type(item).__name__} under {name!r}")
    return dict(value)


def holds_tensors(value: object) -> bool:
    """Whether there is a tensor in it, at any depth."""
    if isinstance(value, Mapping):
        return any(holds_tensors(item) for item in value.values())
    if isinstance(value, (list, tuple)):
        return any(holds_tensors(item) for item in value)
    return isinstance(value, Tensor)
