"""A folder to calibrate and judge the default's INT8 form with: `python -m vljepa_edge.training.tiny.calibration DIR`.

Clips like those of training (objects trained on, over training's backgrounds) as lossless videos, stills of the
backgrounds as photos, and the questions and captions of the clips. None of it is from the card's splits.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from vljepa_edge.export.int8.calibration import QUERY_FILE, TEXT_FILE
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.lossless import write_clip
from vljepa_edge.training.tiny.scenes import SIZE, Painter, random_scene
from vljepa_edge.training.tiny.variation import wordings

CLIPS, STILLS = 32, 8
_SEED = "calibration"  # text, which no seed of training is


def write_calibration(folder: Path, painter: Painter, names: Sequence[str]) -> Path:
    """Fill `folder` and return it. painter: over training's backgrounds; names: of the objects trained on."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(_SEED)
    queries, texts = dict.fromkeys(CAPTION_QUERIES), dict[str, None]()
    for i in track(range(CLIPS), "drawing calibration clips"):
        scene = random_scene(rng, names, pairs=0.2, groups=0.3)
        write_clip(folder / f"clip{i:02}.mkv", painter.draw(scene, rng))
        texts |= dict.fromkeys(wordings(scene)[:2])
        for kind in say.QUESTION_KINDS:
            question = say.question(scene, kind, rng, list(names))
            if question is not None:
                queries[question.text] = None
    for i in range(STILLS):
        Image.fromarray(np.asarray(painter.background(rng, SIZE))).save(folder / f"still{i}.png")
    (folder / QUERY_FILE).write_text("\n".join(queries) + "\n", encoding="utf-8")
    (folder / TEXT_FILE).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to; made if need be")
    folder = parser.parse_args().folder
    cutouts = load_cutouts(assets.stamps_dir())
    held = held_out(cutouts)
    painter = Painter(cutouts, load_backgrounds(assets.background_dirs(), test=False))
    print(write_calibration(folder, painter, [name for name in cutouts if name not in held]))


if __name__ == "__main__":
    main()
