"""Outputs of a frozen encoder on disk, at 16 bits: what doesn't change from epoch to epoch is computed once.

A cache belongs to one encoder and one frame plan. It is a folder of safetensors files, each of some samples, which are
mapped, not read; one that is there is complete, so filling goes on where it was stopped. A sample is known by its
file's path, size and date and by its stretch: captions of one stretch share its features, and a video that changed is
computed again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vljepa_edge.errors import DataError, InputError, VideoError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.plan import key_of
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.video.stretch import FramePlan

_SUFFIX = ".safetensors"
_KEYS = "keys"  # the tensor of a file that says whose its rows are

Features = dict[str, NDArray[np.float16]]


class FeatureCache:
    """Features by sample. Can be sent to workers; each maps the same files."""

    def __init__(self, folder: str | Path, digest: str, plan: FramePlan) -> None:
        """folder: of all caches; digest: names the encoder and its weights. Raises OSError."""
        self._digest, self._plan = digest, plan
        self._root = Path(folder)
        self.folder = self._root / f"{key_of(digest, *map(repr, astuple(plan))):016x}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reload()

    def reload(self) -> None:
        """Sees what other processes have written since. Raises DataError for a damaged file."""
        self._files = sorted(self.folder.glob(f"[!.]*{_SUFFIX}"))  # what is being written has a dot in front
        self._opened: dict[int, Any] = {}
        keys, files, rows = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number in range(len(self._files)):
            held = self._open(number).get_tensor(_KEYS)
            keys.append(held)
            files.append(np.full(len(held), number))
            rows.append(np.arange(len(held)))
        order = np.argsort(np.concatenate(keys), kind="stable")
        self._keys, self._file, self._row = (np.concatenate(parts)[order] for parts in (keys, files, rows))

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, sample: Sample) -> bool:
        return self._place(self.key(sample)) is not None

    def key(self, sample: Sample) -> int:
        """The int64 that a sample is known by."""
        file = sample.media.partition("::")[0]
        try:
            status = os.stat(file)
            state = status.st_size, status.st_mtime_ns
        except OSError:  # no file, or one whose absence reading it will tell
            state = 0, 0
        return key_of(sample.media, *state, repr(sample.start), repr(sample.end)) - 2**63

    def read(self, sample: Sample) -> Features:
        """The streams of a sample by name, float16. Raises VideoError where it has none: its video can't be read."""
        place = self._place(self.key(sample))
        if place is None:
            raise VideoError(sample.media, "has no features in the cache, which is not filled or could not read it")
        file = self._open(int(self._file[place]))
        row = int(self._row[place])
        names = [name for name in file.keys() if name != _KEYS]  # noqa: SIM118  # it is no dict
        return {name: file.get_slice(name)[row : row + 1][0] for name in names}

    def write(self, keys: Sequence[int], features: Mapping[str, NDArray[Any]]) -> None:
        """Adds the features of some samples, (samples, ...) each, as one file, complete or not there.

        Raises InputError for shapes that don't fit, DataError for a value that 16 bits can't hold, OSError.
        """
        if not keys or not features or _KEYS in features:
            raise InputError("a cache takes at least one sample and one stream, and none that is called 'keys'")
        held = np.array(keys, np.int64)
        half: dict[str, NDArray[Any]] = {_KEYS: held}
        for name, values in features.items():
            if len(values) != len(held):
                raise InputError(f"the stream {name!r} has {len(values)} rows for {len(held)} samples")
            with np.errstate(over="ignore"):
                half[name] = np.ascontiguousarray(values, np.float16)
            if not np.isfinite(half[name]).all():
                raise DataError(self.folder, f"the stream {name!r} has values that are not finite at 16 bits")
        with replacing(self.folder / f"{key_of(*keys):016x}{_SUFFIX}") as part:
            save_file(half, part)

    def _place(self, key: int) -> int | None:
        place = int(np.searchsorted(self._keys, key))
        return place if place < len(self._keys) and self._keys[place] == key else None

    def _open(self, number: int) -> Any:
        if number not in self._opened:
            try:
                self._opened[number] = safe_open(self._files[number], "np")
            except (OSError, SafetensorError) as error:
                raise DataError(self._files[number], f"is damaged; remove it ({error})") from error
        return self._opened[number]

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureCache, (self._root, self._digest, self._plan)
