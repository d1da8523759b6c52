"""`vljepa train`: a bundle, fine-tuned on a user's own clips. Needs the training extra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json, step_bars, video_warnings
from vljepa_edge.cli.root import print_error
from vljepa_edge.support.install import require

MODULES = ("torch", "onnx", "pyarrow")


def train(
    init: Annotated[str, typer.Option("--init", metavar="BUNDLE", help="tiny, or the path of any bundle.")],
    data: Annotated[
        str, typer.Option("--data", metavar="TABLE", help="Clips and texts: a CSV, JSONL or Parquet file, or a folder.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="A folder, or a .vljepa file.")],
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of the order of the clips.")] = 0,
    steps: Annotated[
        int,
        typer.Option("--steps", min=1, metavar="N", help="The most steps; it ends before where it gets no better."),
    ] = 300,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fine-tune a bundle on your own clips, and say how good it is on a tenth of them before and after.

    The tenth is of videos that nothing else is learned from.

    \b
    Examples:
      vljepa train --init tiny --data my_clips.csv --out mine.vljepa
      vljepa train --init mine.vljepa --data more_clips.jsonl --out mine-2.vljepa --seed 1 --json
    """
    _fine_tune(init, data, out, seed, steps, as_json)


def _fine_tune(init: str, data: str, out: Path, seed: int, steps: int, as_json: bool) -> None:
    require(MODULES, "train")
    from vljepa_edge.training.data.sources import open_source
    from vljepa_edge.training.finetune import fine_tune

    with step_bars() as on_step:
        report = fine_tune(init, open_source(data), out, seed=seed, steps=steps, on_step=on_step)
    if as_json:
        print_json(report.to_dict() | video_warnings())
    else:
        for line in report.lines():
            console().print(line)
    for problem in report.problems:
        print_error(f"{problem} (written all the same)")
    if not as_json:
        console().print(f"written to {out}")
