"""Concepts of things that no clip shows: what the ConSE vector of another word would look like.

A photo of a class gives a peaked mix of class embeddings; a photo of something outside ImageNet gives a mix of the
classes that look like it, here those whose names lie near. Training on such mixes keeps the predictor open to objects
it has never seen.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vljepa_edge.errors import InputError
from vljepa_edge.support.atomic import replacing

_NEIGHBOURS = 10
_TENSORS = ("vectors", "classes", "nearest", "similarity", "is_class")


@dataclass(frozen=True)
class Concepts:
    """Words that can stand for an object: `names`, their embeddings (n, 384), and the nearest classes of each (n, 10),
    rows of `classes`."""

    names: list[str]
    vectors: Tensor
    classes: Tensor
    nearest: Tensor
    similarity: Tensor
    is_class: Tensor

    @classmethod
    def build(cls, names: list[str], vectors: Tensor, class_names: list[str], class_vectors: Tensor) -> Concepts:
        """`class_vectors` (1000, 384): what the classes look like as concepts; a name that is a class looks like it."""
        row = {name: i for i, name in enumerate(class_names)}
        looks = torch.stack([class_vectors[row[n]] if n in row else v for n, v in zip(names, vectors, strict=True)])
        values, nearest = (looks @ class_vectors.T).topk(_NEIGHBOURS, dim=-1)
        return cls(names, vectors, class_vectors, nearest, values, torch.tensor([name in row for name in names]))

    def save(self, file: Path) -> None:
        """As safetensors, the names in its header."""
        tensors = {name: getattr(self, name).clone() for name in _TENSORS}  # rows of one may be another's
        with replacing(file) as part:
            save_file(tensors, part, {"names": json.dumps(self.names)})

    @classmethod
    def load(cls, file: str | Path) -> Concepts:
        """What `save` wrote. Raises InputError for anything else."""
        try:
            with safe_open(file, "pt") as opened:
                names = json.loads(opened.metadata()["names"])
                return cls(names, **{name: opened.get_tensor(name) for name in _TENSORS})
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{file} must be a file of concepts: {error}") from error

    def draw(self, rng: np.random.Generator) -> tuple[int, Tensor]:
        """A random word and a ConSE vector (384,) that a classifier might give for it; a class every other time."""
        wanted = rng.random() < 0.5
        pool = torch.nonzero(self.is_class == wanted)[:, 0]
        word = int(pool[int(rng.integers(len(pool)))])
        if wanted:  # the class itself, confused with a few others
            weights = torch.from_numpy(rng.dirichlet([3.0] + [0.3] * 5)).float()
            others = self.nearest[word, 1 + torch.from_numpy(rng.permutation(_NEIGHBOURS - 1)[:5].copy())]
            mixed = weights[0] * self.classes[self.nearest[word, 0]] + weights[1:] @ self.classes[others]
        else:
            sharp = float(rng.uniform(8.0, 25.0))
            noise = torch.from_numpy(rng.normal(0.0, 0.7, _NEIGHBOURS)).float()
            weights = (self.similarity[word] * sharp + noise).softmax(-1)
            mixed = weights @ self.classes[self.nearest[word]]
        return word, mixed
