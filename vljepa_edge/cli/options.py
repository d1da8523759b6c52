"""The options that several commands share, and the model that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.cli.root import DEBUG
from vljepa_edge.errors import InputError

if TYPE_CHECKING:
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.engines.base import Precision as EnginePrecision
    from vljepa_edge.model import Model
    from vljepa_edge.video.packets import PacketRing
    from vljepa_edge.video.source import Source as OpenedSource
    from vljepa_edge.video.source import SourceLike, Tap


def _remember(ctx: typer.Context, value: bool) -> bool:
    if value:
        ctx.meta[DEBUG] = True
    return value


ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        envvar="VLJEPA_MODEL",
        metavar="PATH",
        help="A bundle: a folder or a .vljepa file.",
        show_default="the embedded bundle",
    ),
]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="NAME", help="openvino, onnxruntime, torch or tensorrt:FOLDER.")
]
Threads = Annotated[
    int | None,
    typer.Option("--threads", min=1, metavar="N", help="Threads of the engine.", show_default="the engine's choice"),
]
Precision = Annotated[str, typer.Option("--precision", metavar="TYPE", help="auto, f32, bf16 or f16.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Everyday = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Where `vljepa data fetch everyday` put the tables.",
        show_default="everyday in the cache",
    ),
]  # fmt: skip
Debug = Annotated[bool, typer.Option("--debug", callback=_remember, help="Show the traceback of an error.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="A video, photo or bag, an rtsp:// or http:// address, camera:0, or - for stdin."
    ),
]
Queries = Annotated[
    list[str] | None,
    typer.Option("--query", "-q", metavar="TEXT", help="What to ask; repeat for several.", show_default="the model's"),
]
Hop = Annotated[
    float | None,
    typer.Option("--hop", metavar="SECONDS", help="Time between two looks.", show_default="the model's"),
]
Policy = Annotated[
    str,
    typer.Option(
        "--policy",
        "-p",
        metavar="POLICY",
        help="When to decode: running-ward:threshold=0.3, budget:per_minute=6,burst=3, local-variance:threshold=0.15 "
        "or uniform:period=1.",
    ),
]
Still = Annotated[
    float | None,
    typer.Option(
        "--still",
        metavar="LEVELS",
        help="Encode nothing while no part of the picture changes by so many of 255 levels: 3. Default: no pixel.",
    ),
]
Reuse = Annotated[
    float | None,
    typer.Option(
        "--reuse",
        metavar="DISTANCE",
        help="Use a text again where the embedding is as near to one that was decoded: 0.02. Default: decode each.",
    ),
]
Open = Annotated[bool, typer.Option("--open", help="Print a segment when it opens, too: --decode both.")]
Decode = Annotated[
    str | None,
    typer.Option(
        "--decode",
        metavar="WHEN",
        help="When a segment is put into words and printed: closed, open, both or none (printed at its end, no words).",
        show_default="closed",
    ),
]

MinConfidence = Annotated[
    float | None,
    typer.Option(
        "--min-confidence",
        metavar="0..1",
        help="Show what is right with at least this probability; 0 shows everything.",
        show_default="the model's",
    ),
]


def decode_mode(decode: str | None, also_open: bool) -> str:
    """What --decode and --open ask for together. Raises InputError where they disagree."""
    if also_open and decode not in (None, "both"):
        raise InputError(f"--open prints a segment when it opens and when it closes; leave out --decode {decode}")
    return "both" if also_open else decode or "closed"


def load_model(path: Path | None, engine: str, threads: int | None, precision: str) -> Model:
    """The model that the shared options describe. Raises InputError for unknown ones."""
    from vljepa_edge.model import load

    return load(path, engine=engine, threads=threads, precision=cast("EnginePrecision", precision))


def open_bundle(path: Path | None) -> Bundle:
    """The bundle at a path, or the default one; nothing of it is compiled. Raises BundleError."""
    from vljepa_edge.bundle.store import Bundle, default_bundle

    return Bundle.open(default_bundle() if path is None else path)


def open_and_load(
    source: SourceLike,
    bundle: Bundle,
    engine: str,
    threads: int | None,
    precision: str,
    tap: Tap | None = None,
    ring: PacketRing | None = None,
) -> tuple[OpenedSource, Model]:
    """A source, and the model that it was opened for; tap, ring: of open_source.

    A source that can't be opened costs no load. Raises VideoError, and as load_model does.
    """
    from vljepa_edge.engines import open_engine
    from vljepa_edge.model import Model
    from vljepa_edge.perception.perception import open_at

    opened = open_at(bundle.manifest.video, source, tap=tap, ring=ring)
    try:
        runs_on = open_engine(engine, threads=threads, precision=cast("EnginePrecision", precision))
        return opened, Model(bundle, runs_on)
    except BaseException:
        opened.close(wait=False)
        raise
