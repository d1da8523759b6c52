"""`vljepa teach`: a head that knows events of one's own, from a folder of clips for each."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, print_json, step_bars, video_warnings
from vljepa_edge.cli.place import check_place
from vljepa_edge.errors import HeadError, InputError
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.tasks.teach import Lesson

ENOUGH = 10  # clips of a label
GOOD = 0.8  # accuracy below which more is needed than a few clips
SHOWN = 5  # doubts


def teach(
    clips: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|TABLE.csv",
            help="A folder with a folder of clips for each label, or a table path,start,end,label.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where the head goes, as my.head.npz.")],
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Teach the model events of your own from about ten clips of each, in seconds; `vljepa stream --head` finds them.

    Each folder in DIR is a label. A folder `nothing` holds clips of what is no event.

    \b
    Examples:
      vljepa teach clips/ --out my.head.npz
      vljepa teach events.csv --out my.head.npz --json
      vljepa stream camera:0 --head my.head.npz
    """
    from vljepa_edge.tasks.clip_lists import read_clips
    from vljepa_edge.tasks.teach import teach as learn

    given = read_clips(clips)
    check_out(out)
    begun = time.perf_counter()
    loaded = load_model(model, engine, threads, precision)
    with step_bars() as bars:
        lesson = learn(loaded, given, report=lambda done, total: bars("looking at clips", done, total))
    try:
        lesson.head.save(out)
    except OSError as error:
        raise InputError(f"--out: {out} can't be written: {error.strerror or error}") from error
    seconds = time.perf_counter() - begun
    if as_json:
        print_json(lesson_json(lesson) | {"out": str(out), "seconds": number(seconds, 2)} | video_warnings())
    else:
        print_lesson(lesson, out, seconds)


def check_out(out: Path) -> None:
    """Raises InputError when something else than a head would be overwritten, or it can't be written there."""
    from vljepa_edge.perception.head import Head

    if os.path.lexists(out):
        try:
            Head.load(out)
        except HeadError as error:
            raise InputError(f"--out: {out} is there and is no head; name another file, or remove it") from error
    check_place(out)


def lesson_json(lesson: Lesson) -> dict[str, Any]:
    """What `--json` says of a lesson. `confusion`: of the clips of each label (row), how many were told as each."""
    head = lesson.head
    labels = [
        {"label": label, "clips": count, "recall": number(recall)}
        for label, count, recall in zip(head.labels, head.clips, head.recall.tolist(), strict=True)
    ]
    return {
        "labels": labels,
        "accuracy": number(head.accuracy),
        "spread": number(head.spread),
        "threshold": number(head.threshold),
        "confusion": [[number(value, 2) for value in row] for row in lesson.confusion.tolist()],
        "doubts": [doubt._asdict() | {"margin": number(doubt.margin)} for doubt in lesson.doubts],
        "skipped": [{"clip": name, "reason": reason} for name, reason in lesson.skipped],
        "videos_apart": lesson.apart,
        "next": advice(lesson),
    }


def advice(lesson: Lesson) -> list[str]:
    """What to do next, the most useful first."""
    head = lesson.head
    found = []
    if lesson.doubts:
        found.append("look at the clips named above: one wrong label costs more than several more clips give")
    few = [label for label, count in zip(head.labels, head.clips, strict=True) if count < ENOUGH]
    if few:
        found.append(f"add clips, {ENOUGH} or more of each label: {', '.join(few)}")
    if len(head.events) == len(head.labels):
        found.append("add a folder `nothing` with clips of what is no event: nothing else makes false alarms rarer")
    if not lesson.apart:
        found.append("add clips from other videos: some labels have one video only, so the accuracy is of that scene")
    if head.accuracy < GOOD:
        found.append("cut clips down to the event; if that is not enough, fine-tune: docs/fine-tuning.md")
    return found


def print_lesson(lesson: Lesson, out: Path, seconds: float) -> None:
    """The table of a lesson, for people."""
    head = lesson.head
    lines = console()
    width = max(len("label"), *(len(label) for label in head.labels))
    lines.print(f"{'label':{width}}  clips  told right  also told as", style="dim")
    rows = zip(head.labels, head.clips, head.recall.tolist(), lesson.confusion.tolist(), strict=True)
    for label, count, recall, told_as in rows:
        others = sorted(zip(told_as, head.labels, strict=True), reverse=True)
        told = ", ".join(f"{other} {100 * v / count:.0f} %" for v, other in others if v > 0 and other != label)
        lines.print(f"{label:{width}}  {count:5d}  {100 * recall:8.0f} %  {told}".rstrip())
    apart = "clips left out with all others of their video" if lesson.apart else "clips left out one by one"
    accuracy = f"{100 * head.accuracy:.1f} % +- {100 * head.spread:.1f} %"
    lines.print(f"\naccuracy {accuracy} from fold to fold, cross-validated: {apart}", style="bold")
    for title, texts in (
        ("these clips look like another label when they are left out:",
         [f"{doubt.clip}: {doubt.label} or {doubt.looks_like}?" for doubt in lesson.doubts[:SHOWN]]),
        ("skipped:", [f"{name}: {reason}" for name, reason in lesson.skipped]),
        ("next:", advice(lesson)),
    ):  # fmt: skip
        if texts:
            lines.print(f"\n{title}")
            for text in texts:
                lines.print(f"  {text}")
    size = out.stat().st_size / 1000
    lines.print(f"\nsaved {out} ({size:.0f} kB) after {seconds:.1f} s; an event counts from {head.threshold:.2f} on")
    lines.print(f"try it: vljepa stream SOURCE --head {out}")
