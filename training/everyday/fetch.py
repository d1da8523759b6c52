"""Gets the photographs and clips, and what is written about them, from public addresses or from a mirror."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vljepa_edge.errors import InputError
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.training.everyday.download import Fault, OnFile, Wanted, download
from vljepa_edge.training.everyday.mirror import copy_set
from vljepa_edge.training.everyday.originals import HOST, originals
from vljepa_edge.training.everyday.sets import chosen, recipe_sets
from vljepa_edge.training.everyday.tables import TEXTS, Made, make_tables, write_texts
from vljepa_edge.training.everyday.texts import FILES, read_texts

OnStep = Callable[[str, int, int], None]
"""What is done, how many are done, how many there are."""


@dataclass
class Fetched:
    """The tables that were made, and the files that could not be had."""

    made: Made
    faults: list[Fault]

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return self.made.to_dict() | {"faults": [fault._asdict() for fault in self.faults]}


def default_folder() -> Path:
    """`everyday` in the cache."""
    return cache_dir() / "everyday"


def mirror_folder() -> Path | None:
    """The folder that VLJEPA_MIRROR names. Raises InputError when it is none."""
    named = os.environ.get("VLJEPA_MIRROR")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        raise InputError(f"VLJEPA_MIRROR must name a folder, got {named}")
    return folder


def tables_for(recipe: str, folder: Path | None = None, on_step: OnStep | None = None) -> Made:
    """The tables that a recipe of the default is trained and tested on, of what is there: nothing is downloaded.

    folder: where `fetch` put things; the default one if None. What VLJEPA_MIRROR has is copied there first. `missing`
    of what is returned says what could not be had; with neither there are no tables. Raises InputError for a recipe
    that there is not, and as `fetch` does.
    """
    sets, mirror = recipe_sets(recipe), mirror_folder()
    folder = default_folder() if folder is None else folder
    if mirror is None:
        return make_tables(folder, sets)
    return fetch(folder, sets, mirror, on_step=on_step).made


def fetch(
    folder: Path, sets: Iterable[str], mirror: Path | None = None, host: str = HOST, on_step: OnStep | None = None
) -> Fetched:
    """Fill `folder` with these sets, then make the tables of what is there.

    mirror: nothing is downloaded, all comes from this folder. What is there already is kept, so a fetch that was ended
    goes on where it was. Raises InputError for a set that there is not, DataError for a mirror or a file of texts that
    can't be read, AssetError when the host can't be reached, OSError when `folder` can't be written.
    """
    names = [one.name for one in chosen(sets)]
    faults: list[Fault] = []
    for name in names:
        faults += _from_host(folder, name, host, on_step) if mirror is None else _copied(folder, name, mirror, on_step)
    return Fetched(make_tables(folder, names), faults)


def _copied(folder: Path, name: str, mirror: Path, on_step: OnStep | None) -> list[Fault]:
    if not (mirror / name).is_dir():
        return [Fault(str(mirror / name), "is not there")]
    texts, faults = copy_set(mirror, name, originals([name]), folder / name, _step(on_step, name))
    write_texts(folder, name, texts)
    return faults


def _from_host(folder: Path, name: str, host: str, on_step: OnStep | None) -> list[Fault]:
    """The files of texts first: they are few, and without them the others are of no use."""
    kept = {
        file.address: folder / name / "sources" / file.address.repo.replace("/", "+") / Path(file.address.path).name
        for file in FILES[name]
    }
    faults = download([Wanted(address.url(host), file, address.sha256) for address, file in kept.items()])
    there = {address: file.read_bytes() for address, file in kept.items() if file.is_file()}
    items = originals([name])
    if not faults or not (folder / name / TEXTS).is_file():
        write_texts(folder, name, read_texts(name, items, there))
    wanted = [Wanted(item.address.url(host), folder / name / item.file, item.address.sha256) for item in items]
    return faults + download(wanted, _step(on_step, name))


def _step(on_step: OnStep | None, name: str) -> OnFile | None:
    return None if on_step is None else lambda done, total: on_step(name, done, total)
