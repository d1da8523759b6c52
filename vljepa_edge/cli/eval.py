"""`vljepa eval`: how good a bundle is. Needs the training extra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, Json, ModelPath
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.support.install import require

CARD_MODULES = ("torch", "transformers", "PIL", "skimage", "sklearn")
evaluate_app = typer.Typer(
    help="Measure a bundle's quality.\n\n\b\nExamples:\n  vljepa eval card\n  vljepa eval card --json"
)


def flatten(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as (dotted name, value) in their order."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        rows += flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]
    return rows


@evaluate_app.command()
def card(
    model: ModelPath = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder for sheets of real frames beside what the model says.")
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Measure every figure of the model card on seen and held-out objects, and print them.

    \b
    Examples:
      vljepa eval card
      vljepa eval card --model robot.vljepa --json
      vljepa eval card --pictures sheets
    """
    require(CARD_MODULES, "train")
    from vljepa_edge.training.tiny.card import evaluate

    figures = evaluate(model)
    if pictures is not None:
        from vljepa_edge.training.tiny.card_text import write_pictures

        write_pictures(figures, pictures)
    if as_json:
        print_json(figures)
        return
    rows = flatten(figures)
    out = console()
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        out.print(f"{name:{width}}  {value:.4g}" if isinstance(value, float) else f"{name:{width}}  {value}")
