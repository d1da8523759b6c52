"""Fills a cache of features: every stretch of a source goes through the frozen encoder once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.check import OnStep
from vljepa_edge.training.data.collate import Row
from vljepa_edge.training.data.loader import MAX_CORRUPT, Batches, Corrupt, Ordered, Reader
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.video.stretch import FramePlan

_FILE = 64 * 2**20  # bytes of a file of the cache

Encode = Callable[[Tensor], Mapping[str, Tensor]]
"""Clips, uint8 (B, T, H, W, 3) on the CPU, to the streams by name, (B, ...) on any device."""


def fill(
    cache: FeatureCache,
    source: Source,
    plan: FramePlan,
    encode: Encode,
    *,
    batch: int = 16,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 2,
    max_corrupt: float = MAX_CORRUPT,
    on_step: OnStep | None = None,
) -> list[Corrupt]:
    """Computes what the cache lacks of a source; returns the samples that can't be read.

    Each of several ranks does its part; call `cache.reload()` when all are done. With a rate it is the middle of each
    stretch that is kept.
    Raises InputError, DataError when too many samples are corrupt, OSError.
    """
    if batch < 1 or not 0 <= rank < ranks:
        raise InputError(f"batches of {batch} samples can't be filled by rank {rank} of {ranks}")
    missing = _missing(cache, source, rank, ranks)
    if not len(missing):
        return []
    chunks = Ordered(_Some(source, missing), Reader(plan), partial(_rows, cache))
    keys: list[int] = []
    held: list[dict[str, NDArray[np.float16]]] = []
    size = done = 0
    with Batches(chunks, batch, workers, False, max_corrupt) as batches:
        for each in batches:
            assert isinstance(each.video, Tensor)
            streams = {name: _half(values) for name, values in encode(each.video).items()}
            keys += each.keys.tolist()
            held.append(streams)
            size += sum(values.nbytes for values in streams.values())
            done += len(each)
            if size >= _FILE:
                _write(cache, keys, held)
                keys, held, size = [], [], 0
            if on_step is not None:
                on_step("features", done, len(missing))
        if keys:
            _write(cache, keys, held)
    cache.reload()
    return batches.corrupt


def _half(values: Tensor) -> NDArray[np.float16]:
    half: NDArray[np.float16] = values.detach().cpu().half().numpy()
    return half


def _write(cache: FeatureCache, keys: list[int], held: list[dict[str, NDArray[np.float16]]]) -> None:
    cache.write(keys, {name: np.concatenate([streams[name] for streams in held]) for name in held[0]})


def _missing(cache: FeatureCache, source: Source, rank: int, ranks: int) -> NDArray[np.int64]:
    """Indices of samples whose features are not there, one for each stretch, of this rank's: its keys. Which are there
    may differ from rank to rank."""
    found, seen = [], set[int]()
    for index in range(len(source)):
        sample = source[index]
        key = cache.key(sample)
        if key % ranks == rank and key not in seen and sample not in cache:
            found.append(index)
        seen.add(key)
    return np.array(found, np.int64)


def _rows(cache: FeatureCache, samples: Sequence[Sample]) -> list[Row]:
    """Rows whose key is the cache's."""
    return [Row(sample.key, [], [0], cache.key(sample), [], []) for sample in samples]


class _Some:
    """Some samples of a source."""

    def __init__(self, source: Source, indices: NDArray[np.int64]) -> None:
        self.name = source.name
        self._source, self._indices = source, indices

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> Sample:
        return self._source[int(self._indices[index])]

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        return self._source.frames(sample, plan, where)
