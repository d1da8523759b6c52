"""`vljepa data`: training data fetched, looked at before a run, and packed into few large files.

All but fetching needs the train extra.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vljepa_edge.cli.options import Debug, Json
from vljepa_edge.cli.output import console, print_json, step_bars
from vljepa_edge.cli.root import FAILURE, print_error
from vljepa_edge.errors import InputError
from vljepa_edge.support.install import require

MODULES = ("torch", "pyarrow")
_FAULTS = 10  # faults of a fetch that are printed one by one

data = typer.Typer(
    help="Fetch training data, check it, or pack it.\n\n\b\nExamples:\n  vljepa data fetch everyday\n"
    "  vljepa data check clips.csv\n  vljepa data pack clips.csv --out packed"
)

Data = Annotated[
    Path,
    typer.Argument(
        metavar="DATA",
        help="A .csv, .jsonl or .parquet with path, caption or path, question, answer; a folder of videos and photos; "
        "a .tar of webdataset's or a folder of them; a LeRobot v3 data set; Action100M's Parquet.",
    ),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind", metavar="KIND", help="table, folder, shards, lerobot or action100m.", show_default="as DATA looks"
    ),
]
Camera = Annotated[str | None, typer.Option("--camera", metavar="NAME", help="Of a LeRobot data set with several.")]
Videos = Annotated[Path | None, typer.Option("--videos", metavar="DIR", help="The videos of Action100M's Parquet.")]


@data.command()
def fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="everyday: photographs and robot clips with texts. Or the address of webdataset's tars, "
            "https://host/{0000..0009}.tar",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="The folder to fill.", show_default="everyday in the cache"),
    ] = None,
    only: Annotated[
        str | None,
        typer.Option("--only", metavar="NAMES", help="Of its data sets only these: coco,flickr8k", show_default="all"),
    ] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Get photographs and clips from their public addresses, or from the folder VLJEPA_MIRROR; write tables of them.

    Every file is checked by its SHA-256. What is there already is kept. The exit status is 1 when something could not
    be had. The terms of each data set are printed: read them before you use it. Of tars at an address, a shard is kept
    when it is complete, and indexed, so that a run over the folder can be resumed exactly.

    \b
    Examples:
      vljepa data fetch everyday
      vljepa data fetch everyday --out data --only coco,video_droid
      VLJEPA_MIRROR=/mnt/data vljepa data fetch everyday --json
      vljepa data fetch "https://example.org/train-{0000..0009}.tar" --out shards
    """
    if ":" in name:
        if out is None or only is not None:
            raise InputError("to fetch tars from an address, give --out, and no --only")
        _fetch_shards(name, out, as_json)
        return
    from vljepa_edge.training.everyday import fetch as everyday
    from vljepa_edge.training.everyday.sets import SETS, chosen, terms

    if name != "everyday":
        raise InputError(f"what to fetch must be everyday or the address of tars, got {name!r}")
    names = [one.name for one in chosen(SETS if only is None else map(str.strip, only.split(",")))]
    with step_bars() as on_step:
        done = everyday.fetch(
            everyday.default_folder() if out is None else out,
            names, everyday.mirror_folder(), on_step=on_step,
        )  # fmt: skip
    _print_faults([f"{fault.file}: {fault.reason}" for fault in done.faults])
    if as_json:
        print_json(done.to_dict() | {"terms": terms(names).splitlines()})
    else:
        to = console()
        for table in done.made.tables.values():
            to.print(f"{table.path}: {table.rows} texts of {table.media} files")
        for what, count in done.made.left_out.items():
            to.print(f"left out: {count} {what}")
        for line in done.made.missing:
            to.print(f"missing: {line}")
        to.print(terms(names), end="")
    if done.faults or done.made.missing:
        raise typer.Exit(FAILURE)


@data.command()
def check(
    source: Data,
    frames: Annotated[int, typer.Option("--frames", min=1, metavar="N", help="Frames to read of each sample.")] = 8,
    workers: Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Threads that read.")] = 2,
    kind: Kind = None,
    camera: Camera = None,
    videos: Videos = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Read every sample; say which can't be trained on. The exit status is 1 when something is wrong or left out.

    \b
    Examples:
      vljepa data check clips.csv
      vljepa data check robot-data --camera observation.images.front --json
      vljepa data check action100m-preview --videos videos --frames 2 --workers 8
    """
    require(MODULES, "train")
    from vljepa_edge.training.data.check import check as run

    with step_bars() as on_step:
        report = run(_spec(source, kind, camera, videos), frames, workers, on_step)
    if as_json:
        print_json(report.to_dict())
    else:
        out = console()
        for line in report.lines():
            out.print(line)
    if not report.good:
        raise typer.Exit(FAILURE)


@data.command()
def pack(
    source: Data,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder to write; it must not be there.")],
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Samples of a shard.")] = 1000,
    kind: Kind = None,
    camera: Camera = None,
    videos: Videos = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Write webdataset tars with an index: the same samples and frames, of long videos only the parts that are used.

    Nothing is encoded again. What can't be read is left out, and then the exit status is 1.

    \b
    Examples:
      vljepa data pack clips.csv --out packed
      vljepa data pack robot-data --camera observation.images.front --samples 500 --out packed --json
    """
    require(MODULES, "train")
    from vljepa_edge.training.data.pack import pack as run

    with step_bars() as on_step:
        packed = run(_spec(source, kind, camera, videos), out, samples, on_step)
    for fault in packed.faults:
        print_error(f"{fault.file}, {fault.place}: {fault.reason} (left out)")
    if as_json:
        print_json(packed.to_dict())
    else:
        size = f"{packed.bytes / 1e6:.1f} MB"
        console().print(f"{out}: {packed.samples} samples in {packed.shards} shards, {size}; {packed.cut} were cut out")
    if packed.faults:
        raise typer.Exit(FAILURE)


def _fetch_shards(pattern: str, out: Path, as_json: bool) -> None:
    require(MODULES, "train")
    from vljepa_edge.training.data.shard_download import download_shards

    with step_bars() as on_step:
        done = download_shards(pattern, out, on_step)
    _print_faults([f"{fault.file}: {fault.reason}" for fault in done.faults])
    if as_json:
        print_json(done.to_dict())
    else:
        size = f"{done.bytes / 1e6:.1f} MB"
        console().print(f"{out}: {done.shards} shards, {size}; {done.fetched} were fetched now")
    if done.faults:
        raise typer.Exit(FAILURE)


def _print_faults(faults: list[str]) -> None:
    for fault in faults[:_FAULTS]:
        print_error(fault)
    if len(faults) > _FAULTS:
        print_error(f"and {len(faults) - _FAULTS} more files")


def _spec(source: Path, kind: str | None, camera: str | None, videos: Path | None) -> dict[str, Any]:
    given = {"path": source, "kind": kind, "camera": camera, "videos": videos}
    return {name: value for name, value in given.items() if value is not None}
