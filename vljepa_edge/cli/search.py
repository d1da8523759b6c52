"""`vljepa search`: find a moment in a directory of videos and photos by text, or what a store keeps."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vljepa_edge.cli.moments import Asked, print_moments, read_when
from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, print_json, progress, video_warnings
from vljepa_edge.errors import FrameError, InputError, VideoError
from vljepa_edge.support.json_numbers import number
from vljepa_edge.support.media_files import media_files

if TYPE_CHECKING:
    from vljepa_edge.engines.base import Precision as EnginePrecision
    from vljepa_edge.model import Model
    from vljepa_edge.tasks.retrieve import Index


def build_index(model: Model, folder: Path, files: dict[str, list[int]], saved: Path | None) -> tuple[Index, list[str]]:
    """Index the files, or bring a saved index up to date. Returns it with the names that can't be read.

    Files that are new or were changed since are indexed, and those that are gone taken out. What is indexed when Ctrl-C
    comes is saved too.
    """
    from vljepa_edge.tasks.retrieve import Index

    index = Index(model)
    gone: list[str] = []
    if saved is not None and os.path.lexists(saved / "index.json"):
        index = Index.load(saved, model)
        gone = [name for name, stamp in index.stamps.items() if stamp is None or files.get(name) != [*stamp]]
        index.remove(*gone)
    broken = []
    new = [name for name in files if name not in index.stamps]
    try:
        with progress() as bar:
            for name in bar.track(new, description="indexing"):
                try:
                    index.add(str(folder / name), name=name)
                except (VideoError, FrameError) as error:
                    broken.append(name)
                    bar.console.print(f"skipped {error}", style="yellow")
    finally:
        if saved is not None and (gone or len(new) > len(broken)):
            index.save(saved)
    return index, broken


def search(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of videos and photos, with its folders, or of --store.")
    ],
    words: Annotated[str | None, typer.Argument(metavar="[TEXT]", help="What to look for.", show_default=False)] = None,
    text: Annotated[str | None, typer.Option("--text", "-t", metavar="TEXT", help="The same, as an option.")] = None,
    k: Annotated[int, typer.Option("-k", "--limit", min=1, metavar="N", help="How many moments to print.")] = 5,
    saved: Annotated[
        Path | None,
        typer.Option("--index", "-i", metavar="FOLDER", help="Keep the index here; the next search adds new files."),
    ] = None,
    stream: Annotated[
        str | None, typer.Option("--stream", metavar="NAME", help="Of a store: what this stream saw.")
    ] = None,
    earliest: Annotated[
        str | None, typer.Option("--from", metavar="WHEN", help="Of a store: from 2026-11-29T18:00 or 2h ago on.")
    ] = None,
    latest: Annotated[str | None, typer.Option("--to", metavar="WHEN", help="Of a store: until then.")] = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find the moments that a text describes, best first: in a directory of videos and photos, or in the events that
    `vljepa serve --store` or `vljepa stream --store` kept.

    \b
    Examples:
      vljepa search ~/Videos "a dog runs to the left"
      vljepa search ~/Videos --text "a red car" -k 3 --index ~/.videos-index --json
      vljepa search ~/events "a red ball" --stream door --from 2h
    """
    from vljepa_edge.perception.text_encoder import TextEncoder
    from vljepa_edge.store.reader import is_store
    from vljepa_edge.tasks.index_folder import check_writable

    wanted = _one_text(words, text)
    if is_store(folder):
        if saved is not None:
            raise InputError(f"--index is for a folder of videos and photos; {folder} is an event store")
        asked = Asked(wanted, k, stream, read_when(earliest, "--from"), read_when(latest, "--to"))
        encoder = TextEncoder.open(model, engine=engine, threads=threads, precision=cast("EnginePrecision", precision))
        print_moments(folder, asked, encoder, as_json=as_json)
        return
    for name, value in (("--stream", stream), ("--from", earliest), ("--to", latest)):
        if value is not None:
            raise InputError(f"{name} is for an event store; {folder} is none")
    files = media_files(folder)
    if saved is not None:
        check_writable(saved)
    index, broken = build_index(load_model(model, engine, threads, precision), folder, files, saved)
    if len(broken) == len(files):
        raise VideoError(folder, f"none of the {len(files)} files could be read")
    hits = index.search(wanted, k)
    if as_json:
        rows = [
            {"name": hit.name, "start": number(hit.start), "end": number(hit.end), "score": number(hit.score)}
            for hit in hits
        ]
        found = {"text": wanted, "hits": rows, "files": len(files) - len(broken), "skipped": broken}
        print_json(found | video_warnings())
    else:
        out = console()
        for hit in hits:
            out.print(f"{hit.score:7.3f}  {hit.start:7.2f} - {hit.end:7.2f} s  {hit.name}")
    if broken:
        warning = f"warning: {len(broken)} of {len(files)} files could not be read and were skipped"
        console(stderr=True).print(warning, style="yellow")


def _one_text(words: str | None, text: str | None) -> str:
    """The text to look for, which is given once. Raises InputError."""
    if words is not None and text is not None:
        raise InputError("give the text once, as an argument or as --text")
    wanted = words if text is None else text
    if wanted is None:
        raise InputError('say what to look for: vljepa search DIR "a red ball"')
    return wanted
