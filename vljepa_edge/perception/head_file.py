"""The file of a head: a plain .npz of a few arrays, read without pickle and with no trust in what it says of itself."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import HeadError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.npy import parse_npy

FORMAT = "vljepa-head"
VERSION = 1
LARGEST = 1 << 26  # bytes of the file, and of each array: a hundred labels on 128 Ki numbers, say
_AGAIN = "teach it again and save it"
# Array -> the kind of its dtype, its dimensions. Other names are not looked at.
_EXPECTED = {
    "labels": ("U", 1),
    "weights": ("f", 2),
    "bias": ("f", 1),
    "calibration": ("f", 1),
    "encoder": ("U", 0),
    "model": ("U", 0),
    "accuracy": ("f", 1),
    "recall": ("f", 1),
    "clips": ("i", 1),
}
Arrays = dict[str, NDArray[Any]]


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays of `_EXPECTED`, complete or not at all. Raises OSError."""
    with replacing(path) as part, part.open("wb") as out:
        kept: dict[str, Any] = {name: np.array(arrays[name], order="C") for name in _EXPECTED}
        np.savez(out, format=np.array(FORMAT), version=np.array(VERSION), **kept)


def read_arrays(path: Path) -> Arrays:
    """The arrays of `_EXPECTED`, of their kind and dimensions. Raises HeadError, naming the file and the array."""
    try:
        if path.stat().st_size > LARGEST:
            raise HeadError(path, f"is larger than any head, {LARGEST >> 20} MiB; give a file that Head.save wrote")
        with zipfile.ZipFile(path) as file:
            sizes = {info.filename: info.file_size for info in file.infolist()}
            mark = _read(path, file, sizes, "format", ("U", 0))
            if str(mark) != FORMAT:
                raise HeadError(path, "is no head; give a file that Head.save or `vljepa teach` wrote")
            version = int(_read(path, file, sizes, "version", ("i", 0)))
            if version != VERSION:
                raise HeadError(path, f"is a head of format {version}, this version reads {VERSION}; {_AGAIN}")
            return {name: _read(path, file, sizes, name, form) for name, form in _EXPECTED.items()}
    except OSError as error:
        raise HeadError(path, f"can't be read: {error.strerror or error}; give a file that Head.save wrote") from error
    except HeadError:
        raise
    except Exception as error:  # zipfile raises whatever its parts raise at bytes that nobody foresaw
        raise HeadError(path, f"is no .npz that can be read ({type(error).__name__}: {error}); {_AGAIN}") from error


def _read(path: Path, file: zipfile.ZipFile, sizes: Mapping[str, int], name: str, form: tuple[str, int]) -> Any:
    member = f"{name}.npy"
    if member not in sizes:
        raise HeadError(path, f"holds no array {name!r}; give a file that Head.save or `vljepa teach` wrote")
    if sizes[member] > LARGEST:
        raise HeadError(path, f"array {name!r} is larger than {LARGEST >> 20} MiB; {_AGAIN}")
    try:
        array = parse_npy(file.read(member))
    except Exception as error:  # zipfile and NumPy raise whatever their parts raise at bytes that nobody foresaw
        raise HeadError(path, f"array {name!r} is damaged ({type(error).__name__}: {error}); {_AGAIN}") from error
    kind, dimensions = form
    if array.dtype.kind != kind or array.ndim != dimensions:
        raise HeadError(path, f"array {name!r} is {array.dtype} with {array.ndim} dimensions; {_AGAIN}")
    return array
