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
    kept = find(made_of)
    if kept is None:
        kept = make()
        store(made_of, kept)
    return kept


def find(made_of: Sequence[object]) -> NDArray[Any] | None:
    """The array that was stored of these things; None where there is none."""
    with contextlib.suppress(OSError, ValueError, EOFError):
        kept: NDArray[Any] = np.load(_file(made_of), allow_pickle=False)
        return kept
    return None


def store(made_of: Sequence[object], made: NDArray[Any]) -> None:
    """Put it in the cache, in place of what was stored of the same things."""
    file = _file(made_of)
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        np.save(part, made, allow_pickle=False)


def folder() -> Path:
    """Where it is kept. May be deleted at any time."""
    return cache_dir() / "figures"


def _file(made_of: Sequence[object]) -> Path:
    named = json.dumps([version("vljepa-edge"), *made_of])
    return folder() / f"{hashlib.sha256(named.encode(errors='surrogateescape')).hexdigest()}.npy"
