"""`vljepa eval selective`: what selective decoding saves, on streams with annotations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, json_line, print_json
from vljepa_edge.cli.place import make_folder
from vljepa_edge.errors import InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.evaluation.selective.items import MakeItems

KINDS, DRAWN_MODULES = ("everyday", "drawn"), ("torch", "PIL")
FIGURES, TABLE, PICTURE = "selective.json", "selective.md", "selective.svg"


def selective(
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="What `vljepa data fetch everyday` made; or your videos, with annotations.csv (path, time, text) or "
            "EgoExo4D's atomic descriptions.",
            show_default="everyday in the cache",
        ),
    ] = None,
    model: ModelPath = None,
    seeds: Annotated[int, typer.Option(min=1, max=100, metavar="N", help="Streams of each kind.")] = 5,
    kinds: Annotated[str, typer.Option(metavar="LIST", help="What streams show.")] = "everyday,drawn",
    noises: Annotated[str, typer.Option("--noise", metavar="LIST", help="Levels of noise.")] = "low,middle,high",
    still: Annotated[
        float,
        typer.Option(min=0, max=255, metavar="LEVELS", help="Policies with the motion gate, too: stream's --still."),
    ] = 0.0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write the table, the figures and a picture.")
    ] = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how many decodes policies save at the CIDEr of decoding once a second.

    Streams of six minutes with some 143 annotations each are embedded, decoded at every rate and threshold, and scored
    on two clocks: "log", where a text stands for its segment's middle, and "live", where it counts from when it was
    decided. Thresholds are chosen on other streams than those reported. It takes an hour or two; a run that was stopped
    goes on where it was.

    \b
    Examples:
      vljepa eval selective
      vljepa eval selective --seeds 1 --noise middle --json
      vljepa eval selective --data my-videos --out figures
    """
    from vljepa_edge.evaluation.selective.camera import LEVELS
    from vljepa_edge.evaluation.selective.measure import made, measure
    from vljepa_edge.evaluation.selective.plot import draw
    from vljepa_edge.evaluation.selective.recordings import recordings
    from vljepa_edge.evaluation.selective.report import lines
    from vljepa_edge.evaluation.selective.streams import has_annotations, recorded

    shown, levels = _listed("kinds", kinds, KINDS), _listed("noise", noises, tuple(LEVELS))
    if data is not None and not data.is_dir():
        raise InputError(f"data must be a folder, got {data}")
    if out is not None:
        require(("matplotlib",), "train")
        make_folder(out)
    loaded = load_model(model, engine, threads, precision)
    folder = cache_dir() / "everyday" if data is None else data
    on = console(stderr=True)
    if has_annotations(folder):
        streams = recordings(loaded, recorded(folder, on.print), on.print)
    else:
        chosen = {kind: _items(kind, folder) for kind in shown}
        streams = made(chosen, loaded.manifest.video.fps, seeds=seeds, noises=levels)
    figures = measure(loaded, streams, on.print, still=still)
    if out is not None:
        with replacing(out / FIGURES) as part:
            part.write_text(json_line(figures), encoding="utf-8")
        with replacing(out / TABLE) as part:
            part.write_text("\n".join(lines(figures)) + "\n", encoding="utf-8")
        draw(figures, out / PICTURE)
    if as_json:
        print_json(figures)
        return
    for line in lines(figures):
        console().print(line)


def _items(kind: str, folder: Path) -> MakeItems:
    """What streams of a kind show."""
    if kind == "everyday":
        from vljepa_edge.evaluation.selective.items import everyday

        return partial(everyday, folder)
    require(DRAWN_MODULES, "train")
    from vljepa_edge.training.tiny.drawn_items import drawn_items

    return drawn_items


def _listed(name: str, text: str, allowed: Sequence[str]) -> list[str]:
    """The names of a list with commas, each once."""
    found = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not found or not set(found) <= set(allowed):
        raise InputError(f"{name} must be of {', '.join(allowed)}, got {text!r}")
    return found
