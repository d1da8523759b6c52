"""`vljepa calibrate`: how sure a bundle may be, told by captioned photographs. Needs the train extra."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json, Threads
from vljepa_edge.cli.output import console, print_json, reporting
from vljepa_edge.cli.place import check_place
from vljepa_edge.support.install import require

MODULES = ("pyarrow", "matplotlib")


def calibrate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A folder or a .vljepa file; it is changed.")],
    data: Annotated[
        list[Path],
        typer.Option(
            "--data",
            metavar="TABLE",
            help="Photographs with three captions or more each, which the bundle was not trained on: a .csv, .jsonl or "
            ".parquet with path and caption. Repeat for several.",
        ),
    ],
    precision: Annotated[
        float, typer.Option("--precision", metavar="0..1", help="How many of the texts shown are to be right.")
    ] = 0.75,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="Where to draw the reliability plot, a PNG.")
    ] = None,
    threads: Threads = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure how often a bundle is right, and write into it how sure it may be: what streams, answers and labels show.

    \b
    Examples:
      vljepa calibrate mine.vljepa --data captions.jsonl
      vljepa calibrate mine.vljepa --data captions.jsonl --precision 0.9 --picture plot.png --json
    """
    require(MODULES, "train")
    if picture is not None:
        check_place(picture, option="--picture")
    from vljepa_edge.training.calibrate import calibrate as fit

    with reporting("looking at photographs") as report:
        found = fit(
            bundle, data, wanted_precision=precision, picture=picture, threads=threads, on_photograph=report
        )
    summary = {
        "photographs": found.photographs,
        "min_confidence": found.min_confidence,
        "shown": found.shown,
        "precision": found.precision,
    }
    if as_json:
        print_json({**summary, "judged": [asdict(one) for one in found.judged]})
        return
    out = console()
    for one in found.judged:
        right = f"{100 * one.right:3.0f} % of {one.count} right"
        out.print(f"{one.name:9} {right}, ECE {one.ece_count:.3f}, Brier {one.brier:.3f} ({one.kind})")
    shown = f"{100 * found.shown:.0f} % of the captions are shown, {100 * found.precision:.0f} % of them are right"
    out.print(f"min_confidence {found.min_confidence:.3f}: {shown}")
