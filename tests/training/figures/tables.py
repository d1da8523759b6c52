"""Tables of small photographs, each of one colour, with captions; vectors that stand for texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 220), "grey": (120, 120, 120)}


def vector(text: str, width: int = 64) -> NDArray[np.float32]:
    """(width,) of unit norm that the text alone decides."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    drawn = np.random.default_rng(seed).normal(size=width)
    return (drawn / np.linalg.norm(drawn)).astype(np.float32)


def write_table(folder: Path, captions: Mapping[str, Sequence[str]], name: str = "coco-val") -> Path:
    """`folder`/NAME.jsonl of one photograph a key, whose file is named after it, with a row a caption."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (item, texts) in enumerate(captions.items()):
        colour = COLOURS.get(item, (37 * number % 256, 91 * number % 256, 53 * number % 256))
        Image.new("RGB", (40, 30), colour).save(folder / f"{item}.png")
        rows += [{"path": f"{item}.png", "caption": text} for text in texts]
    file = folder / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file
