"""Arrays that took long to make, kept in the cache folder, named after what they were made of: none is ever stale."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir

_log = logging.getLogger(__name__)


def keep(
    made_of: Sequence[object],
    make: Callable[[], NDArray[Any]],
    fits: Callable[[NDArray[Any]], bool] = lambda found: True,
) -> NDArray[Any]:
    """The array that `make` gives, from the cache if it was made before of the same things by the same version of this
    package; a damaged file, or one that does not fit, is made again, and the log says so.

    made_of: JSON values that name all that the array depends on: the model, its input files with their sizes and
    times, what was asked.
    """
    file = folder() / f"{named(made_of)}.npy"
    kept = load(file, fits)
    if kept is None:
        kept = make()
        save(file, kept)
    return kept


def load(file: Path, fits: Callable[[NDArray[Any]], bool] = lambda found: True) -> NDArray[Any] | None:
    """What is kept in a file; None where there is none, or one that is damaged or does not fit."""
    try:
        kept = np.load(file, allow_pickle=False)
    except FileNotFoundError:
        return None
    except Exception as error:  # what NumPy raises for damaged bytes is not said anywhere
        say_damaged(file, str(error))
        return None
    if not isinstance(kept, np.ndarray) or not fits(kept):
        say_damaged(file, "it holds something else")
        return None
    return kept


def say_damaged(file: Path, why: str) -> None:
    """Tell of a file of the cache that is made again."""
    _log.warning("the cache's %s can't be used and is made again: %s", file, why)


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
