"""`vljepa classify`: which of some labels a video or photo shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Source, Threads, load_model
from vljepa_edge.cli.output import console, print_json, print_scores, reporting, video_warnings
from vljepa_edge.errors import InputError
from vljepa_edge.support.json_numbers import number

NONE_OF_THESE = "none of these"


def read_names(text: str, option: str) -> list[str]:
    """`a,b,c`, or `@file` with one name a line, UTF-8 with or without a byte-order mark. Blank lines are left out.
    `@coco80` are the 80 names of COCO.

    Raises InputError when there is no name, or the file can't be read.
    """
    if text == "@coco80":
        from vljepa_edge.perception.coco import COCO_80

        return list(COCO_80)
    if text.startswith("@"):
        path = Path(text[1:]).expanduser()  # no shell does it behind an @
        try:
            lines = path.read_text(encoding="utf-8-sig").split("\n")  # line ends of Windows and old Macs are read as \n
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise InputError(f"{option}: {path} can't be read: {reason}; it should hold one name a line") from error
        names = [line.replace("\ufeff", "") for line in lines]  # files that were joined have marks in the middle
        if any(ord(letter) < 32 and letter != "\t" for name in names for letter in name):
            raise InputError(f"{option}: {path} holds control characters; save it as UTF-8 text with one name a line")
    else:
        names = text.split(",")
    names = [name.strip() for name in names if name.strip()]
    if not names:
        raise InputError(f"{option} is empty; write {option} cat,dog or {option} @names.txt with one name a line")
    return names


def classify(
    source: Source,
    labels: Annotated[
        str, typer.Option("--labels", "-l", metavar="A,B,C|@FILE|@coco80", help="The labels to choose from.")
    ],
    k: Annotated[
        int | None, typer.Option("-k", min=1, metavar="N", help="Print only the best N.", show_default="all")
    ] = None,
    min_probability: Annotated[
        float, typer.Option("--min-probability", metavar="0..1", help='When no label reaches it: "none of these".')
    ] = 0.5,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Which of some labels a video or photo shows, best first: "none of these" where none is probable enough.

    \b
    Examples:
      vljepa classify photo.jpg --labels "cat,dog,a red car"
      vljepa classify clip.mp4 --labels @labels.txt -k 5 --json
    """
    from vljepa_edge.tasks.classify import best_label

    names = read_names(labels, "--labels")
    loaded = load_model(model, engine, threads, precision)
    with reporting("embedding labels") as report:
        scores = loaded.classify(source, names, report=report)
    best = best_label(scores, min_probability)
    if as_json:
        rows = [
            {"label": item.label, "score": number(item.score), "probability": number(item.probability)}
            for item in scores[:k]
        ]
        print_json({"best": best and best.label, "labels": rows} | video_warnings())
        return
    if best is None:
        console().print(NONE_OF_THESE)
    print_scores(scores[:k])
