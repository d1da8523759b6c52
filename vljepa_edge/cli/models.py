"""`vljepa models`: what bundles there are, and whether one is complete and unaltered."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, Json, ModelPath
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.cli.root import FAILURE, print_error
from vljepa_edge.errors import BundleError

if TYPE_CHECKING:
    from vljepa_edge.bundle.store import Bundle

models = typer.Typer(
    help="List bundles, or verify one.\n\n\b\nExamples:\n  vljepa models list\n  vljepa models verify robot.vljepa"
)


def find_bundles(folder: Path) -> Iterator[Path]:
    """The bundles directly in `folder`: folders with a manifest.json, and .vljepa files."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.suffix == ".vljepa" or (path / "manifest.json").is_file():
            yield path


def size_of(bundle: Bundle) -> int:
    """Bytes of all files that the manifest names."""
    return sum(entry.bytes for entry in bundle.manifest.entries().values())


@models.command("list")
def list_models(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Look here too.", show_default=False)
    ] = None,
    model: ModelPath = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """List the embedded bundles, that of --model or VLJEPA_MODEL, and those of a folder. * marks the one in use.

    \b
    Examples:
      vljepa models list
      vljepa models list ~/bundles --json
    """
    from vljepa_edge.bundle.store import Bundle, default_bundle

    chosen = (model or default_bundle()).resolve()
    paths = [*find_bundles(default_bundle().parent), *([model] if model else [])]
    if folder is not None:
        paths += find_bundles(folder)
    rows: list[dict[str, Any]] = []
    for path in dict.fromkeys(path.resolve() for path in paths):
        row: dict[str, Any] = {
            "path": str(path),
            "default": path == chosen,
            "name": None,
            "version": None,
            "bytes": None,
        }
        try:
            bundle = Bundle.open(path)
        except BundleError as error:
            rows.append(row | {"ok": False, "error": str(error)})
            continue
        about = bundle.manifest
        known = {"name": about.name, "version": about.version, "bytes": size_of(bundle)}
        rows.append(row | known | {"ok": True, "error": None})
    if as_json:
        print_json({"models": rows})
        return
    out = console()
    for row in rows:
        mark = "*" if row["default"] else " "
        if row["ok"]:
            out.print(f"{mark} {row['name']} {row['version']}  {row['bytes'] / 1e6:.1f} MB  {row['path']}")
        else:
            out.print(f"{mark} broken: {row['error']}  {row['path']}", style="red")
    if not rows:
        out.print("no bundle here; make one with `make tiny`, or name one with --model PATH")


@models.command()
def verify(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A folder or .vljepa file.", show_default="the default")
    ] = None,
    model: ModelPath = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Check a bundle's manifest, sizes and hashes. Exits with 1 when something is wrong, and names the file.

    \b
    Examples:
      vljepa models verify
      vljepa models verify robot.vljepa --json
    """
    from vljepa_edge.bundle.store import Bundle, default_bundle

    chosen = path or model or default_bundle()
    try:
        bundle = Bundle.open(chosen)
    except BundleError as error:
        if as_json:
            print_json({"ok": False, "path": str(chosen), "file": error.file, "error": str(error)})
        if debug:
            traceback.print_exc()
        print_error(str(error))
        raise typer.Exit(FAILURE) from error
    about = bundle.manifest
    if as_json:
        row = {"ok": True, "path": str(chosen), "name": about.name, "version": about.version, "digest": bundle.digest}
        print_json(row | {"graphs": len(about.graphs), "files": len(about.entries()) + 1, "bytes": size_of(bundle)})
    else:
        console().print(
            f"{chosen}: {about.name} {about.version} is complete: {len(about.graphs)} graphs, "
            f"{len(about.entries()) + 1} files, {size_of(bundle) / 1e6:.1f} MB, digest {bundle.digest[:16]}"
        )
