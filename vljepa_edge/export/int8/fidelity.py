"""How much of a graph's output is left: cosines to the fp32 outputs, token by token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vljepa_edge.export.int8.calibration import Arrays


@dataclass(frozen=True)
class Fidelity:
    """Cosines of vectors along the last axis (tokens, embeddings) to fp32: a good mean hides a broken token."""

    mean: float
    worst: float

    def meets(self, mean: float, worst: float) -> bool:
        return self.mean >= mean and self.worst >= worst


def fidelity(expected: Sequence[Arrays], found: Sequence[Arrays]) -> dict[str, Fidelity]:
    """By output, over all vectors of all runs. Both lists hold the same runs in the same order."""
    cosines: dict[str, list[np.ndarray]] = {}
    for wanted, given in zip(expected, found, strict=True):
        for name, array in wanted.items():
            cosines.setdefault(name, []).append(cosine_rows(array, given[name]))
    return {name: summary(np.concatenate(found_cosines)) for name, found_cosines in cosines.items()}


def summary(cosines: np.ndarray) -> Fidelity:
    """Mean and worst."""
    return Fidelity(float(cosines.mean()), float(cosines.min()))


def cosine_rows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of each pair of vectors along the last axis, float64, flat; two zero vectors are alike.

    A pair of which a number is not finite has -1, the lowest: NaN would pass where a lowest value is looked for.
    """
    x, y = (np.asarray(v, np.float64).reshape(-1, v.shape[-1]) for v in (a, b))
    finite = np.asarray(np.isfinite(x).all(1) & np.isfinite(y).all(1))
    x, y = (np.where(finite[:, None], v, 0.0) for v in (x, y))
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    same = (x == y).all(axis=1)
    cosines = np.where(same, 1.0, (x * y).sum(1) / np.where(norms == 0, 1.0, norms))
    return np.where(finite, cosines, -1.0)


def least(outputs: Mapping[str, Fidelity]) -> Fidelity:
    """The lowest mean and the lowest worst of several outputs."""
    return Fidelity(min(f.mean for f in outputs.values()), min(f.worst for f in outputs.values()))
