"""Follow the raw embedding stream, before any text is decoded: python examples/raw_embeddings.py clip.mp4

A robot can act on how much the scene has moved in embedding space, many times a second, without decoding a word.
"""

import os
import sys

import numpy as np
from numpy.typing import NDArray

import vljepa_edge

model = vljepa_edge.load(os.environ.get("VLJEPA_MODEL"))
before: NDArray[np.float32] | None = None


def follow(time: float, embedding: NDArray[np.float32], query: str) -> None:
    """Print how far the embedding moved since the last hop: 0 same, 2 opposite."""
    global before
    moved = 0.0 if before is None else 1.0 - float(before @ embedding)
    before = embedding
    print(f"{time:6.2f} s  {embedding.size} numbers, moved {moved:.4f}")


with model.open_stream(policy="uniform:period=3600") as stream, model.open(sys.argv[1]) as frames:
    stream.subscribe(follow)
    for frame in frames:
        stream.push(frame.image, frame.time)
