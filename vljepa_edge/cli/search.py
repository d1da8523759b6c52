"""`vljepa search`: find a moment in a directory of videos and photos by text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vljepa_edge.cli.options import Debug, EngineName, Json, ModelPath, Precision, Threads, load_model
from vljepa_edge.cli.output import console, number, print_json, progress, video_warnings
from vljepa_edge.errors import IndexFileError, VideoError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.media_files import media_files

if TYPE_CHECKING:
    from vljepa_edge.model import Model
    from vljepa_edge.tasks.retrieve import Index

SOURCES = "sources.json"


def build_index(model: Model, folder: Path, files: dict[str, list[int]], saved: Path | None) -> tuple[Index, list[str]]:
    """Index the files, or add to a saved index while it holds. Returns it with the names that can't be read.

    The saved index holds when each file it knows of is unchanged; new files are added to it, else it is made anew.
    What is indexed when Ctrl-C comes is saved too.
    """
    from vljepa_edge.tasks.retrieve import Index

    index = Index(model)
    if saved is not None and (saved / SOURCES).is_file():
        before = read_sources(saved / SOURCES)
        kept = Index.load(saved, model)
        unchanged = all(files.get(name) == stamp for name, stamp in before.items())
        if unchanged and set(kept.names) == set(before):
            index = kept
    broken = []
    new = [name for name in files if name not in set(index.names)]
    try:
        with progress() as bar:
            for name in bar.track(new, description="indexing"):
                try:
                    index.add(str(folder / name), name=name)
                except VideoError as error:
                    broken.append(name)
                    bar.console.print(f"skipped {error}", style="yellow")
    finally:
        if saved is not None and len(new) > len(broken):
            index.save(saved)
            write_sources(saved / SOURCES, {name: files[name] for name in index.names})
    return index, broken


def write_sources(path: Path, sources: dict[str, list[int]]) -> None:
    """Note beside the index which files it has seen, whole or not at all."""
    with replacing(path) as part:
        part.write_text(json.dumps(sources), encoding="utf-8")


def read_sources(path: Path) -> dict[str, list[int]]:
    """What `build_index` noted beside the index. Raises IndexFileError when it is not that."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise IndexFileError(path, "is not the note of a saved index; delete the folder to index anew") from error
    if not isinstance(value, dict):
        raise IndexFileError(path, "is not the note of a saved index; delete the folder to index anew")
    return value


def search(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of videos and photos, with its folders.")],
    text: Annotated[str, typer.Option("--text", "-t", metavar="TEXT", help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="How many moments to print.")] = 5,
    saved: Annotated[
        Path | None,
        typer.Option("--index", "-i", metavar="FOLDER", help="Keep the index here; the next search adds new files."),
    ] = None,
    model: ModelPath = None,
    engine: EngineName = "openvino",
    threads: Threads = None,
    precision: Precision = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Find the moments that a text describes in a directory of videos and photos, best first.

    \b
    Examples:
      vljepa search ~/Videos --text "a dog runs to the left"
      vljepa search ~/Videos --text "a red car" -k 3 --index ~/.videos-index --json
    """
    files = media_files(folder)
    index, broken = build_index(load_model(model, engine, threads, precision), folder, files, saved)
    if len(broken) == len(files):
        raise VideoError(folder, f"none of the {len(files)} files could be read")
    hits = index.search(text, k)
    if as_json:
        rows = [
            {"name": hit.name, "start": number(hit.start), "end": number(hit.end), "score": number(hit.score)}
            for hit in hits
        ]
        found = {"text": text, "hits": rows, "files": len(files) - len(broken), "skipped": broken}
        print_json(found | video_warnings())
    else:
        out = console()
        for hit in hits:
            out.print(f"{hit.score:7.3f}  {hit.start:7.2f} - {hit.end:7.2f} s  {hit.name}")
    if broken:
        warning = f"warning: {len(broken)} of {len(files)} files could not be read and were skipped"
        console(stderr=True).print(warning, style="yellow")
