"""What a protocol asks of a model, whatever runs it: videos and texts in, embeddings of one space out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.items import Seen

Array: TypeAlias = NDArray[np.float32]


class Look(NamedTuple):
    """Something to be seen, and what the predictor is asked of it; None: the model's own query, "": nothing."""

    seen: Seen
    query: str | None = None


class Embedder(Protocol):
    """Embeddings (N, E) are float32 of unit norm, in the order of what was given. A row of NaN is a video that can't be
    read: no protocol counts it as right."""

    @property
    def digest(self) -> str:
        """Names the weights, the engine and the choice of frames: what is kept of one is never taken for another's."""
        ...

    def embed_media(self, looks: Sequence[Look]) -> Array:
        """The predicted embeddings. Looks at the same thing that follow each other cost little more than one."""
        ...

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        """The Y-encoder's. prompt: whether each text stands behind the prompt that the Y-encoder was trained with."""
        ...

    def decode(self, embeddings: Array) -> list[str]:
        """What the Y-decoder says of each embedding; "" where it is NaN. Raises InputError without a Y-decoder."""
        ...
