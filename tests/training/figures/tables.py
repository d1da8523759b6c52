"""Tables of small photographs, each of one colour, with captions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (40, 40, 220), "grey": (120, 120, 120)}


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
