"""`vljepa embed`: the embedding of a video, a photo or a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, naming, print_json, video_warnings
from vljepa_edge.cli.place import check_place
from vljepa_edge.errors import InputError, redacted
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def save_npy(path: Path, array: NDArray[np.float32]) -> None:
    """Write a .npy file completely or not at all."""
    import numpy as np

    with naming(path), replacing(path) as part, part.open("wb") as file:  # np.save would add a suffix to a name
        np.save(file, array)


def embed(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="A video or photo.", show_default=False)
    ] = None,
    text: Annotated[str | None, typer.Option("--text", "-t", metavar="TEXT", help="Embed this text instead.")] = None,
    query: Annotated[
        str | None,
        typer.Option("--query", "-q", metavar="TEXT", help="What to ask of SOURCE.", show_default="the model's"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE.npy", help="Save as a NumPy file.")] = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """The embedding (float32, unit length) of a video, a photo or a text. Videos and texts share one space.

    \b
    Examples:
      vljepa embed clip.mp4 --out clip.npy
      vljepa embed --text "a dog runs to the left" --json
    """
    if (source is None) == (text is None):
        raise InputError("give either SOURCE or --text TEXT, one of the two")
    if text is not None and query is not None:
        raise InputError("--query asks about a SOURCE; it has no use with --text")
    if out is not None:
        check_place(out, source)
    loaded = load_model(model, engine, threads, precision)
    embedding = loaded.embed_text([text or ""])[0] if source is None else loaded.embed_video(source, query)
    if out is not None:
        save_npy(out, embedding)
    if as_json:
        origin = {"source": redacted(source or "")} if text is None else {"text": text}
        values = [number(value, 7) for value in embedding.tolist()]
        row = {"width": len(values), "embedding": values, "out": None if out is None else str(out)}
        print_json(origin | row | video_warnings())
    elif out is not None:
        console().print(f"{out}: {embedding.size} x float32")
    else:
        console().print(" ".join(f"{value:.6f}" for value in embedding.tolist()))
