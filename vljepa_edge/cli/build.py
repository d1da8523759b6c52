"""`vljepa build`: TensorRT engines from a bundle, on the device that will run them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, Json, ModelPath
from vljepa_edge.cli.output import console, print_json, progress

if TYPE_CHECKING:
    from vljepa_edge.engines.tensorrt.store import EngineFolder


def build(
    out: Annotated[
        Path, typer.Option("--out", metavar="ENGINES", help="The folder to write; replaced when all is built.")
    ],
    bundle: Annotated[
        Path | None, typer.Argument(metavar="[BUNDLE]", help="A folder or .vljepa file.", show_default="the default")
    ] = None,
    model: ModelPath = None,
    workspace: Annotated[
        int | None,
        typer.Option(min=1, metavar="MIB", help="GPU memory that a layer may use.", show_default="all of it"),
    ] = None,
    profiles: Annotated[
        str,
        typer.Option(
            metavar="SIZES",
            help="Sizes as name=least:typical:largest, of query, target, decoder (tokens) and batch (texts).",
            show_default="all that the bundle allows",
        ),
    ] = "",
    no_plugins: Annotated[
        bool, typer.Option("--no-plugins", help="Leave attention and pooling to TensorRT's own kernels.")
    ] = False,
    f32: Annotated[
        str,
        typer.Option(
            metavar="ROLES",
            help="Graphs that compute in fp32, as y_encoder,predictor.",
            show_default="those that fp16 is too narrow for",
        ),
    ] = "",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Build TensorRT engines on this machine's NVIDIA GPU: fp16, and int8 where the bundle is. Takes minutes.

    An engine runs on the GPU and the TensorRT that built it only. NOT VERIFIED ON HARDWARE: see docs/tensorrt.md.

    \b
    Examples:
      vljepa build --out engines
      vljepa build robot.vljepa --out engines --workspace 1024 --json
      vljepa build robot.vljepa --out engines --profiles query=1:12:64,batch=1:8:32
      vljepa stream clip.mp4 --engine tensorrt:engines
    """
    from vljepa_edge.bundle.store import Bundle, default_bundle
    from vljepa_edge.engines import import_engine
    from vljepa_edge.support.install import require

    opened = Bundle.open(bundle or model or default_bundle())
    import_engine("tensorrt")
    require(["onnx"], "tensorrt")
    from vljepa_edge.export.tensorrt.build import build_engines

    with progress() as bar:
        task = bar.add_task("reading", total=None)

        def report(what: str, step: int, steps: int) -> None:
            bar.update(task, description=what, completed=step, total=steps)

        size = None if workspace is None else workspace << 20
        engines: EngineFolder = build_engines(
            opened, out, workspace=size, profiles=profiles, plugins=not no_plugins, f32=f32, report=report
        )
    if as_json:
        print_json(summary(engines))
    else:
        print_summary(engines)


def summary(engines: EngineFolder) -> dict[str, Any]:
    """What was built, as JSON can hold it."""
    about = engines.manifest
    plans = {
        graph: plan.model_dump(include={"bytes", "layers", "int8_layers", "plugins", "f32"})
        for graph, plan in about.plans.items()
    }
    platform = about.platform.model_dump()
    return {"out": str(engines.path), "bundle": about.bundle, "digest": about.bundle_digest, **platform, "plans": plans}


def print_summary(engines: EngineFolder) -> None:
    """A line a graph, and how to run them."""
    out = console()
    for graph, plan in engines.manifest.plans.items():
        layers = f"int8 in {plan.int8_layers} of {plan.layers} layers, {plan.plugins} plugins"
        layers += ", else fp32" if plan.f32 else ""
        out.print(f"{graph}: {plan.bytes / 1e6:.1f} MB, {layers}")
    out.print(f"built for {engines.manifest.platform}; run with --engine tensorrt:{engines.path}")
