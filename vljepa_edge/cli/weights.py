"""`vljepa weights`: weights of others into the layouts that this package reads. Needs the export extra."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json, step_bars
from vljepa_edge.support.install import require

MODULES = ("torch", "transformers", "safetensors")

weights = typer.Typer(
    help="Convert weights of others.\n\n\b\nExamples:\n  vljepa weights convert vitl.pt --out vjepa2-L"
)


@weights.callback()
def _group() -> None:
    """Keep `convert` a command of the group, though it is the only one."""


@weights.command()
def convert(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A .pt or .pth file of V-JEPA 2, V-JEPA 2.1 or open-vljepa.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")],
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind", metavar="KIND", help="vjepa2, vjepa2.1 or open-vljepa.", show_default="as the file's keys say"
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="KEY",
            help="V-JEPA: ema_encoder, target_encoder or encoder.",
            show_default="the first of them that is there",
        ),
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            "--heads", min=1, metavar="N", help="V-JEPA: attention heads.", show_default="of the released size"
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(
            "--size",
            min=1,
            metavar="PIXELS",
            help="V-JEPA: a frame's side.",
            show_default="384 for V-JEPA 2.1 or a file name with 384, else 256",
        ),
    ] = None,
    outputs: Annotated[
        str | None,
        typer.Option(
            "--outputs",
            metavar="WHICH",
            help="V-JEPA 2.1: last layer, or all four normed ones joined.",
            show_default="last",
        ),
    ] = None,
    x_encoder: Annotated[
        str | None,
        typer.Option(
            "--x-encoder", metavar="MODEL", help="open-vljepa: a hub id or folder.", show_default="the file's"
        ),
    ] = None,
    language_model: Annotated[
        str | None,
        typer.Option(
            "--language-model", metavar="MODEL", help="open-vljepa: a hub id or folder.", show_default="the file's"
        ),
    ] = None,
    y_encoder: Annotated[
        str | None,
        typer.Option(
            "--y-encoder", metavar="MODEL", help="open-vljepa: a hub id or folder.", show_default="the file's"
        ),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Turn a PyTorch file into safetensors, without running code from it; say what is left out, and why.

    V-JEPA becomes a folder that a model's x_encoder.source names. open-vljepa becomes a checkpoint without the frozen
    X-encoder's weights, whose source its config names, and without a Y-decoder.

    \b
    Examples:
      vljepa weights convert vitl.pt --out vjepa2-L
      vljepa weights convert vjepa2_1_vitb_dist_vitG_384.pt --out vjepa2_1-B --json
      vljepa weights convert best.pt --out open-vljepa --y-encoder embeddinggemma-300m
    """
    require(MODULES, "export")
    from vljepa_edge.nn.convert.convert import Options, convert_file
    from vljepa_edge.nn.convert.open_vljepa import Sources

    sources = Sources(x_encoder, language_model, y_encoder)
    with step_bars() as on_step:
        done = convert_file(source, out, Options(kind, encoder, heads, size, outputs, sources), on_step)
    rows = [part._asdict() for part in done.left_out]
    if as_json:
        print_json(
            {
                "out": str(out),
                "kind": done.kind,
                "tensors": done.tensors,
                "parameters": done.parameters,
                "left_out": rows,
            }
        )
        return
    to = console()
    to.print(f"{done.kind}: {done.tensors} tensors, {done.parameters / 1e6:.1f} M parameters, written to {out}")
    for row in rows:
        to.print(f"left out: {row['part']} ({row['tensors']} tensors): {row['reason']}")
