"""`vljepa export`: a model as a bundle in fp32, fp16 or INT8. Needs the export extra."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.cli.eval import CARD_MODULES
from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json, step_bars
from vljepa_edge.cli.root import print_error
from vljepa_edge.errors import ExportError, InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.install import require

if TYPE_CHECKING:
    from vljepa_edge.export.int8.convert import Card
    from vljepa_edge.export.pipeline import StoredPrecision, Written
    from vljepa_edge.export.report import ExportReport

MODULES = ("torch", "transformers", "onnx", "onnxruntime", "safetensors")
PRECISIONS = ("fp32", "fp16", "int8")


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="SOURCE", help="A bundle, a checkpoint folder, or its hub id: NAME or NAME@REVISION."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="BUNDLE", help="A folder, or a .vljepa file.")],
    precision: Annotated[str, typer.Option("--precision", metavar="TYPE", help="fp32, fp16 or int8.")] = "fp16",
    calibration: Annotated[
        Path | None, typer.Option("--calibration", metavar="DIR", help="Videos and photos; needed for int8.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write an INT8 bundle that isn't accurate enough.")] = False,
    card: Annotated[
        bool | None,
        typer.Option(
            "--card/--no-card",
            help="Take the INT8 bundle's model card (minutes) and compare it with the source's.",
            show_default="where the source has figures",
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Frames of a window; of a checkpoint.", show_default="its own, or 16"),
    ] = None,
    fps: Annotated[float, typer.Option(min=0.01, metavar="N", help="Frames a second; of a checkpoint.")] = 4.0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a bundle; for INT8, say what each layer costs, and refuse what lost its accuracy.

    \b
    Examples:
      vljepa export bundle-fp16 --precision int8 --calibration clips --out tiny-int8
      vljepa export my-checkpoint --precision fp16 --window 8 --out my.vljepa
      vljepa export robots/vljepa-small@v1.0 --out small.vljepa
      vljepa export my.vljepa --precision int8 --calibration clips --no-card --out my-int8.vljepa --json
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    if (precision == "int8") != (calibration is not None):
        needs = (
            "needs --calibration DIR, a folder of videos and photos" if precision == "int8" else "calibrates nothing"
        )
        raise InputError(f"--precision {precision} {needs}")
    require(MODULES, "export")
    from vljepa_edge.export.pipeline import Plan, export_any

    wanted = precision == "int8" and _wants_card(card, source)
    if wanted:  # now rather than after all the work
        require(CARD_MODULES, "train", ", or leave the card out with --no-card")
    kept = out.with_name(out.name + ".report.json")
    if precision == "int8":
        _check_report(kept)
    plan = Plan(cast("StoredPrecision", precision), calibration, force, window, fps)
    with step_bars() as on_step:
        try:
            report = export_any(source, out, plan, _measure_card if wanted else None, on_step)
        except ExportError as error:
            if error.report is None:
                raise
            _print(error.report, as_json)
            with replacing(kept) as part:
                part.write_text(json.dumps(error.report.to_dict(), indent=2))
            raise ExportError(f"{error}; its report is kept in {kept}", error.report) from error
    for problem in report.problems:
        print_error(f"{problem} (written all the same: --force)")
    _print(report, as_json)
    if not as_json:
        console().print(f"written to {out}")


def _check_report(path: Path) -> None:
    """Raise InputError when what is at `path` is not the report of an export that was refused."""
    if not os.path.lexists(path):
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        ours = isinstance(found, dict) and {"problems", "parts", "tried"} <= found.keys()
    except (OSError, ValueError, RecursionError):
        ours = False
    if not ours:
        raise InputError(
            f"{path} exists and is not the report of an export, so it is left alone; move it, or name another"
        )


def _wants_card(asked: bool | None, source: str) -> bool:
    """As asked; else where there are figures to compare with."""
    if asked is not None:
        return asked
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.errors import BundleError

    try:
        figures = Bundle.open(source).manifest.figures
    except BundleError:  # a checkpoint has none
        return False
    return bool(figures)


def _measure_card(path: Path) -> Card:
    from vljepa_edge.export.int8.convert import Card
    from vljepa_edge.training.tiny.card import evaluate
    from vljepa_edge.training.tiny.card_text import markdown

    figures = evaluate(path)
    return Card(figures, markdown(figures))


def _print(report: ExportReport | Written, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
        return
    out = console()
    for line in report.lines():
        out.print(line)
