"""`vljepa kernels`: the GPU kernels tuned for the GPU at hand, or built as cubins for one that isn't here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.errors import KernelError
from vljepa_edge.support.install import install_extra
from vljepa_edge.support.json_numbers import number

kernels = typer.Typer(
    help="Tune the GPU kernels, or build them for a device.\n\n\b\nExamples:\n"
    "  vljepa kernels tune\n  vljepa kernels build --arch 87 --out cubins"
)


@kernels.command()
def tune(
    training: Annotated[bool, typer.Option("--training", help="The kernels of training, too.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Time the candidate tiles of the kernels of inference on this machine's GPU; what wins is used from then on.

    \b
    Examples:
      vljepa kernels tune
      vljepa kernels tune --training
      vljepa kernels tune --json
    """
    try:
        from vljepa_edge.kernels.tools import tune as tuning
    except ImportError as error:
        raise KernelError(f"kernels need PyTorch and Triton: {install_extra('kernels')} ({error})") from error

    out = console(stderr=True)

    def report(timing: Any) -> None:
        out.print(f"{timing.name}: {timing.shipped_ms:.3f} ms as shipped, {timing.best_ms:.3f} ms at best")

    def skip(error: KernelError) -> None:
        skipped.append(str(error))
        out.print(f"skipped: {error}")

    skipped: list[str] = []
    path, timings = tuning.tune(report, skip, training=training)
    rows = [
        {"name": t.name, "shipped_ms": number(t.shipped_ms), "best_ms": number(t.best_ms), "warps": t.best.warps,
         "stages": t.best.stages, "blocks": [t.best.block_m, t.best.block_n, t.best.block_k]}
        for t in timings
    ]  # fmt: skip
    if as_json:
        print_json({"table": str(path), "kernels": rows, "skipped": skipped})
    else:
        console().print(f"wrote {path}")


@kernels.command()
def build(
    arch: Annotated[int, typer.Option("--arch", metavar="N", help="87 for Jetson AGX Orin's sm_87.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to write.")],
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Compile the kernels of inference for an architecture, with a JSON and a C++ launcher. Needs no GPU.

    \b
    Examples:
      vljepa kernels build --arch 87 --out orin
      vljepa kernels build --arch 110 --out thor --json
    """
    try:
        from vljepa_edge.kernels.tools.cubins import write_cubins
    except ImportError as error:
        raise KernelError(f"kernels need PyTorch and Triton: {install_extra('kernels')} ({error})") from error

    data = write_cubins(arch, out)
    names = [row["name"] for row in data["kernels"]]
    if as_json:
        print_json({"out": str(out), "arch": arch, "kernels": names})
    else:
        console().print(f"{out}: {len(names)} kernels for sm_{arch}; launch them with launcher.hpp")
