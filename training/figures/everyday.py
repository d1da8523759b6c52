"""Figures of the everyday sets, photographs and robot clips with what people wrote of them, for any bundle.

Their tables are what `vljepa data fetch everyday` writes. Nothing in them is ever trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.evaluation.cider import cider
from vljepa_edge.evaluation.ranks import percent
from vljepa_edge.model import Model
from vljepa_edge.training.everyday.truth import caption_is_right
from vljepa_edge.training.figures.captioned import Captioned, read_captioned
from vljepa_edge.training.figures.is_there import is_there_figures
from vljepa_edge.training.figures.kept import decode_items, embed_captions, embed_items
from vljepa_edge.training.figures.search import search_figures
from vljepa_edge.training.figures.sure import sure_figures

FETCH = "vljepa data fetch everyday"
PHOTOGRAPHS = ("coco-val", "flickr8k-test")
Figures = dict[str, Any]


def read(data: Path, name: str) -> Captioned:
    """One of the tables in a folder. Raises DataError, saying how to get it."""
    file = data / f"{name}.jsonl"
    if not file.is_file():
        raise DataError(file, f"is not there; to get it, run: {FETCH} --out {data}")
    return read_captioned(file)


def search(model: Model, table: Captioned) -> Figures:
    """Search by caption and by item, under the default query; `items` and `captions` are counts."""
    found = search_figures(embed_items(model, table), embed_captions(model, table), table)
    return {"items": len(table.items), "captions": len(table.captions), **found}


def say(model: Model, table: Captioned) -> Figures:
    """What the Y-decoder makes of each item under the default query: `CIDEr` against all its captions; per cent:
    `right_texts`, of which at least half of what they name is named in a caption too (training.everyday.truth), and
    `different_texts`: a model that says the same of everything has next to none. Without pycocoevalcap there is
    `missing` in place of CIDEr."""
    texts = decode_items(model, table, embed_items(model, table))
    captions = [table.of_item(place) for place in range(len(texts))]
    found: Figures = {
        "right_texts": percent([caption_is_right(text, tuple(own)) for text, own in zip(texts, captions, strict=True)]),
        "different_texts": round(100.0 * len(set(texts)) / len(texts), 1),
    }
    try:
        score = cider(texts, captions)
    except InputError as error:
        return found | {"missing": str(error)}
    return found | {"CIDEr": round(score, 1)}


def confidence(model: Model, data: Path) -> Figures:
    """How far the confidence of captions can be trusted, on the tables of photographs that are there. Raises
    DataError for none, BundleError for a bundle without calibrators."""
    there = [name for name in PHOTOGRAPHS if (data / f"{name}.jsonl").is_file()]
    return sure_figures(model, [read(data, name) for name in there or PHOTOGRAPHS])


def photographs(name: str) -> Callable[[Model, Path], Figures]:
    def measure(model: Model, data: Path) -> Figures:
        table = read(data, name)
        return search(model, table) | say(model, table)

    return measure


PARTS: dict[str, Callable[[Model, Path], Figures]] = {
    **{name: photographs(name) for name in PHOTOGRAPHS},
    "robot-test": lambda model, data: search(model, read(data, "robot-test").within("video_droid")),
    "confidence": confidence,
    "is-there": lambda model, data: is_there_figures(model, read(data, "coco-val")),
}
"""What can be measured, by the name that `--only` takes. The second argument is the folder of the tables.

Of the robot clips only DROID's are searched: several of the others have the same text.
"""
