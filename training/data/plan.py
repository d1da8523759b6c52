"""Which samples a step takes: a pure function of the seed, the stage and the step, whatever the workers and ranks.

So the state of the data is the number of the step, and a run that goes on takes what it would have taken.

Sources are mixed in blocks of BLOCK samples: up to the end of each block every source has had its weight's share of
all samples, to within one; inside a block the order is random. A source gives each of its samples once an epoch, in an
order of that epoch: a Feistel network permutes the indices, so nothing as long as the source is held in memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError

BLOCK = 4096
_ROUNDS = 6  # of the Feistel network; four make a permutation that looks random, and two more are cheap

_U64 = NDArray[np.uint64]
_I64 = NDArray[np.int64]


class Reference(NamedTuple):
    """A sample of a step.

    source: which one; sample: its index there; epoch: how often all of the source was taken before. position: of the
    sample in its stage, over all ranks. where: in [0, 1), which part of the stretch. draw: 64 random bits, for
    augmentations.
    """

    source: int
    sample: int
    epoch: int
    position: int
    where: float
    draw: int


@dataclass(frozen=True)
class Plan:
    """sizes: samples of each source; weights: how much of each is taken, in any unit. Replay is one more source.

    Raises InputError for a source that is empty, a weight below 1 / 4096 of all, or none at all.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...]
    seed: int
    stage: str

    def __post_init__(self) -> None:
        if not self.sizes or len(self.sizes) != len(self.weights):
            raise InputError(
                f"there must be a weight for each source, got {len(self.sizes)} sources and {len(self.weights)} weights"
            )
        for number, (size, weight) in enumerate(zip(self.sizes, self.weights, strict=True)):
            if size < 1:
                raise InputError(f"source {number} is empty")
            if not (math.isfinite(weight) and weight > 0):
                raise InputError(f"the weight of source {number} must be a number above 0, got {weight}")
        for number, share in enumerate(self._shares):
            if share * BLOCK < 1:
                raise InputError(
                    f"the weight of source {number} must be at least 1 / {BLOCK} of all weights, got {float(share):.3g}"
                )

    def step(self, step: int, batch: int, rank: int = 0, ranks: int = 1) -> list[Reference]:
        """What `rank` takes in this step: its slice of the `batch` samples that one rank would take.

        Slices follow each other in the order of ranks, which is the order that gathered embeddings have. Where ranks
        don't divide the batch the first ones get one sample more.
        """
        if batch < 1 or step < 0 or not 0 <= rank < ranks:
            raise InputError(f"no step {step} of {batch} samples has a rank {rank} of {ranks}")
        begin, end = share_of(batch, rank, ranks)
        return self.slice(step * batch + begin, step * batch + end)

    def slice(self, begin: int, end: int) -> list[Reference]:
        """The samples at positions begin to end - 1 of the stage."""
        found: list[Reference] = []
        for block in range(begin // BLOCK, -(-end // BLOCK)):
            first = block * BLOCK
            places = np.arange(max(begin, first), min(end, first + BLOCK))
            found += self._within(block, places)
        return found

    def substitute(self, reference: Reference, attempt: int) -> Reference:
        """Who stands in for a sample that can't be read; `attempt` is 0, and more where stand-ins can't be read."""
        size = self.sizes[reference.source]
        draw = _hash(np.array([reference.draw], np.uint64), self._key("substitute", attempt))
        index = (reference.sample + 1 + int(draw[0] % np.uint64(max(1, size - 1)))) % size
        return reference._replace(sample=index, draw=int(draw[0]))

    @cached_property
    def _shares(self) -> tuple[Fraction, ...]:
        total = sum((Fraction(weight) for weight in self.weights), Fraction(0))
        return tuple(Fraction(weight) / total for weight in self.weights)

    def _within(self, block: int, positions: _I64) -> list[Reference]:
        sources, turns = _layout(self, block)
        inside = positions - block * BLOCK
        sources, turns = sources[inside], turns[inside]
        indices, epochs = np.empty_like(turns), np.empty_like(turns)
        for source in np.unique(sources):
            mine = sources == source
            epochs[mine], places = np.divmod(turns[mine], self.sizes[source])
            different, which = np.unique(epochs[mine], return_inverse=True)
            keys = [self._key("order", int(source), epoch) for epoch in different.tolist()]
            indices[mine] = permuted(places, self.sizes[source], np.array(keys, np.uint64)[which])
        draws = _hash(positions.astype(np.uint64), self._key("draw"))
        wheres = (_hash(draws, 1) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        columns = (sources, indices, epochs, positions, wheres, draws)
        return [Reference(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]

    def _key(self, *what: str | int) -> int:
        return key_of(self.seed, self.stage, *what)


def share_of(batch: int, rank: int, ranks: int) -> tuple[int, int]:
    """The rows of a batch that a rank has: from the first to before the second."""
    each, more = divmod(batch, ranks)
    begin = rank * each + min(rank, more)
    return begin, begin + each + (rank < more)


def key_of(*what: str | int) -> int:
    """64 bits that name this tuple, the same in every process."""
    return int.from_bytes(hashlib.blake2b(repr(what).encode(), digest_size=8).digest(), "big")


def permuted(places: _I64, size: int, key: int | _U64) -> _I64:
    """Where a permutation of range(size), named by `key` or each by its own, takes each of `places`."""
    half = max(1, (max(1, size - 1).bit_length() + 1) // 2)
    values = places.astype(np.uint64)
    keys = np.broadcast_to(np.asarray(key, np.uint64), values.shape)
    walking = np.ones(len(values), bool)
    while (
        walking.any()
    ):  # the network permutes a power of four; what falls outside of the range walks on (cycle walking)
        values[walking] = _feistel(values[walking], half, keys[walking])
        walking = values >= np.uint64(size)
    return values.astype(np.int64)


def _feistel(values: _U64, half: int, keys: _U64) -> _U64:
    """Where a permutation of range(4 ** half) of each value's own key takes it."""
    bits, mask = np.uint64(half), np.uint64((1 << half) - 1)
    left, right = values >> bits, values & mask
    for number in range(_ROUNDS):
        left, right = right, left ^ (_hash(right, keys + np.uint64(number)) & mask)
    result: _U64 = (left << bits) | right
    return result


def _hash(values: _U64, key: int | _U64) -> _U64:
    """splitmix64 (Steele, Lea and Flood, 2014) of each value beside a key."""
    with np.errstate(over="ignore"):
        mixed = values * np.uint64(0x9E3779B97F4A7C15) + np.asarray(key, np.uint64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        result: _U64 = mixed ^ (mixed >> np.uint64(31))
        return result


@lru_cache(maxsize=8)
def _layout(plan: Plan, block: int) -> tuple[_I64, _I64]:
    """For each place of a block its source, and how many of that source came before it in the stage."""
    before, after = _taken(plan._shares, block), _taken(plan._shares, block + 1)
    counts = np.subtract(after, before)
    sources = np.repeat(np.arange(len(counts)), counts)
    sources = sources[permuted(np.arange(BLOCK), BLOCK, plan._key("block", block))]
    turns = np.empty(BLOCK, np.int64)
    for source, count in enumerate(counts):
        turns[sources == source] = before[source] + np.arange(count)
    return sources, turns


def _taken(shares: Sequence[Fraction], blocks: int) -> list[int]:
    """Samples of each source in so many blocks: its share rounded down, and one more for the largest remainders."""
    exact = [share * blocks * BLOCK for share in shares]
    whole = [math.floor(value) for value in exact]
    left = blocks * BLOCK - sum(whole)
    first = sorted(range(len(shares)), key=lambda source: (whole[source] - exact[source], source))
    for source in first[:left]:
        whole[source] += 1
    return whole
