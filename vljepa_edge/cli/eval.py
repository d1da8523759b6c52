"""`vljepa eval`: how good a bundle is. Its card needs the training extra."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vljepa_edge.cli.benchmarks import RUN, Named, print_list, run
from vljepa_edge.cli.eval_selective import selective
from vljepa_edge.cli.options import Debug, Everyday, Json, ModelPath
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.cli.place import check_place
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.install import require

CARD_MODULES = ("torch", "transformers", "PIL", "skimage", "sklearn", "pyarrow")
_ROWS = ("rows", "ways", "bins", "missing")  # of the figures, what is too long for a line
evaluate_app = typer.Typer(cls=Named)
evaluate_app.command(RUN)(run)
evaluate_app.command()(selective)


@evaluate_app.callback(invoke_without_command=True)
def describe(
    ctx: typer.Context,
    listed: Annotated[
        bool, typer.Option("--list", help="Every benchmark, what the paper reports, and what it expects on disk.")
    ] = False,
) -> None:
    """Measure a model's quality: on the benchmarks of the paper, a table of your own, or the model card's figures.

    \b
    Examples:
      vljepa eval --list
      vljepa eval sugarcrepe_pp --data scpp
      vljepa eval classification --csv mine.csv
      vljepa eval card
    """
    if listed:
        print_list()
    elif ctx.invoked_subcommand is None:
        console().print(ctx.get_help())


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as (dotted name, value) in their order."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if name not in _ROWS:
            rows += flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(f"{prefix}{name}", value)]
    return rows


@evaluate_app.command()
def card(
    bundle: Annotated[
        Path | None,
        typer.Argument(metavar="BUNDLE", help="A folder or a .vljepa file.", show_default="that of --model"),
    ] = None,
    model: ModelPath = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", metavar="PARTS",
            help="Parts of the card: coco-val,flickr8k-test,robot-test,confidence,is-there,drawn,objects,videos.",
            show_default="all",
        ),
    ] = None,
    data: Everyday = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the card in Markdown.")] = None,
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for sheets of real frames beside what the model says.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure every figure of the model card, and print them beside what they should be.

    What needs data that is not there is said, and the rest is measured. Embeddings of photographs and clips are kept in
    the cache, so that a bundle's second card is quick.

    \b
    Examples:
      vljepa eval card
      vljepa eval card robot.vljepa --only coco-val,robot-test --json
      vljepa eval card --data everyday --out card.md --pictures sheets
    """
    require(CARD_MODULES, "train")
    if out is not None:
        check_place(out)
    from vljepa_edge.training.tiny import card_text
    from vljepa_edge.training.tiny.card import evaluate

    parts = [] if only is None else [part.strip() for part in only.split(",")]
    figures = evaluate(model if bundle is None else bundle, only=parts, data=data)
    if pictures is not None and "real_videos" in figures:
        card_text.write_pictures(figures, pictures)
    if out is not None:
        with replacing(out) as part:
            part.write_text(card_text.markdown(figures), encoding="utf-8")
    if as_json:
        print_json(figures)
        return
    to = console()
    for line in card_text.bar_lines(figures):
        to.print(line)
    rows = flatten(figures)
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        to.print(f"{name:{width}}  {value:.4g}" if isinstance(value, float) else f"{name:{width}}  {value}")
    for name, why in figures.get("missing", {}).items():
        console(stderr=True).print(f"warning: {name} was not measured: {why}", style="yellow")
