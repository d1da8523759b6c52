"""Arrays that took long to make, kept in the cache folder, named after what they were made of: none is ever stale."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir


def keep(made_of: Sequence[object], make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array that `make` gives, from the cache if it was made before of the same things by the same version of this
    package; a damaged file is made again.

    made_of: JSON values that name all that the array depends on: the model, its input files with their sizes and
    times, what was asked.
    """
    file = folder() / f"{named(made_of)}.npy"
    kept = load(file)
    if kept is None:
        kept = make()
        save(file, kept)
    return kept


def load(file: Path) -> NDArray[Any] | None:
    """What is kept in a file; None where there is none, or a damaged one."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept: NDArray[Any] = np.load(file, allow_pickle=False)
        return kept
    return None


def save(file: Path, made: NDArray[Any]) -> None:
    """Keep an array in a file, in place of what it held."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        np.save(part, made, allow_pickle=False)


def folder() -> Path:
    """Where it is kept. May be deleted at any time."""
    return cache_dir() / "figures"


def named(made_of: Sequence[object]) -> str:
    """A name of what was made of these things by this version of the package."""
    made_by = json.dumps([version("vljepa-edge"), *made_of])
    return hashlib.sha256(made_by.encode(errors="surrogateescape")).hexdigest()
