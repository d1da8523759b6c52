"""A grammar of motions: what happens next follows from what happens now, with some noise.

A Markov chain whose rows and columns sum to 1, so that all motions are equally frequent, and what is most likely next
is also what class-mean recall asks for. How well anyone can know the future is then a formula.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.training.tiny.captions import MOTIONS

USUAL, SOMETIMES = 0.7, 0.15
"""How likely the usual next motion is, and another one; what is left is spread over all motions alike."""
_ORDER = "grammar"  # text, from which the orders of the motions come


def chain() -> NDArray[np.float64]:
    """(19, 19): from a motion of MOTIONS the probability of each next one."""
    rng, count = random.Random(_ORDER), len(MOTIONS)
    found = np.full((count, count), (1 - USUAL - SOMETIMES) / count)
    for share in (USUAL, SOMETIMES):
        cycle = rng.sample(range(count), count)  # each motion is followed by the next of a circle of all
        for place, motion in enumerate(cycle):
            found[motion, cycle[(place + 1) % count]] += share
    return found


def entropy(of: NDArray[np.float64]) -> float:
    """Bits of a next motion that the one before leaves open."""
    return float(-(of * np.log2(of, where=of > 0, out=np.zeros_like(of))).sum(1).mean())


def walk(of: NDArray[np.float64], length: int, rng: random.Random) -> list[int]:
    """Motions one after another, the first by chance."""
    found = [rng.randrange(len(of))]
    while len(found) < length:
        found.append(rng.choices(range(len(of)), of[found[-1]])[0])
    return found


def ahead(of: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """From a motion the probability of each motion `steps` later."""
    return np.linalg.matrix_power(of, steps)


def best_recall(of: NDArray[np.float64], steps: int, top: int) -> float:
    """The expected class-mean recall, per cent, of who knows the grammar and the motion `steps` before: no one who saw
    nothing later can have more."""
    likely = np.sort(ahead(of, steps), 1)[:, -top:]
    return 100.0 * float(likely.sum(1).mean())
