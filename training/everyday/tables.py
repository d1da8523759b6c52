"""Tables of the trainer out of what was fetched: one for each set of photographs and one for all robots, test apart.

Which are for testing: COCO's photographs of val2017; Flickr8k's official test photographs; every fifth clip of DROID;
of Bridge and OpenVLA a fifth, by the hash of the text. Half of Flickr8k's official photographs for development and a
tenth of COCO's for training, by the hash of the file's name, are for fitting confidence (DEV), and not trained on. A
photograph or clip whose text is that of a test item, word for word, is not trained on with that text. Robots' attempts
that failed, or succeeded in part, say a thing that did not happen, and are in no table.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from vljepa_edge.errors import DataError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.everyday.originals import Original, originals
from vljepa_edge.training.everyday.sets import DEV, SETS, TABLES, TESTS, TRAINING, DataSet, chosen
from vljepa_edge.training.everyday.texts import text_key

TEXTS = "texts.json"
"""In the folder of a set: the texts of each item, by its file."""

_COPIES = (".webp", ".png")
"""What a mirror may have made of a photograph."""


class Table(NamedTuple):
    """A table: rows of texts, of so many photographs or clips."""

    path: Path
    rows: int
    media: int


@dataclass
class Made:
    """Tables by name, and what is not in them: for each set a line that says what is missing, and how it is had."""

    tables: dict[str, Table] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    left_out: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {
            "tables": {
                name: {"path": str(table.path), "rows": table.rows, "media": table.media}
                for name, table in self.tables.items()
            },
            "missing": self.missing,
            "left_out": self.left_out,
        }


class _Item(NamedTuple):
    original: Original
    media: str
    texts: list[str]


def make_tables(folder: Path, sets: Iterable[str]) -> Made:
    """Write `folder`/NAME.jsonl for each of sets.TABLES that `folder` has something for.

    What is returned is about these sets alone; but no text of any test in `folder` is trained on.
    A row has `path` (absolute), `caption` and `text_key`. Several texts of one photograph are rows of their own; the
    trainer makes none of them wrong for the others. Reads only what is in `folder`: neither network nor mirror.
    Raises DataError for texts that can't be read, OSError for a table that can't be written.
    """
    made, others = Made(), Made()
    asked = chosen(sets)
    items: dict[str, list[_Item]] = {name: [] for name in TABLES}
    for one in SETS.values():
        if one.tables:
            for item in _found(folder, one, made if one in asked else others):
                items[_table_of(item, one)].append(item)
    held = {text_key(text) for name in TESTS for item in items[name] for text in item.texts}
    held_files = {item.original.address.sha256 for name in TESTS for item in items[name]}
    wanted = {table for one in asked for table in one.tables}
    for name in TABLES:
        to = made if name in wanted else others
        rows: list[dict[str, str]] = []
        for item in items[name]:
            texts = item.texts
            if name not in TESTS:
                texts = [text for text in texts if text_key(text) not in held]
                _count(to.left_out, "texts for training that a test has too", len(item.texts) - len(texts))
                if item.original.address.sha256 in held_files:
                    _count(to.left_out, "files for training that a test has too", 1)
                    continue
            rows += ({"path": item.media, "caption": text, "text_key": text_key(text)} for text in texts)
        path = folder / f"{name}.jsonl"
        if not rows:
            path.unlink(missing_ok=True)  # of an earlier time, when there was something
            continue
        with replacing(path) as part:
            part.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        to.tables[name] = Table(path, len(rows), len({row["path"] for row in rows}))
    return made


def _found(folder: Path, one: DataSet, made: Made) -> list[_Item]:
    """The items of a set that are there with a text."""
    texts = _texts(folder / one.name / TEXTS)
    files = {
        place.name: os.path.join(root.path, place.name)
        for root in _folders(folder / one.name)
        for place in os.scandir(root.path)
    }
    found, no_file, no_text, failed = [], 0, 0, 0
    listed = originals([one.name])
    for original in listed:
        if original.outcome not in ("", "success"):
            failed += 1
            continue
        names = (Path(original.file).name, *(Path(original.file).with_suffix(suffix).name for suffix in _COPIES))
        media = next((files[name] for name in names if name in files), None)
        if media is None:
            no_file += 1
        elif not texts.get(original.file):
            no_text += 1
        else:
            found.append(_Item(original, media, texts[original.file]))
    _count(made.left_out, "robots' attempts that did not succeed", failed)
    if no_file:
        made.missing.append(
            f"{one.name}: {no_file} of {len(listed) - failed} files are not here; "
            f"get them by `vljepa data fetch everyday --only {one.name}`"
        )
    if no_text and one.name == "video_bridge":
        _count(made.left_out, "clips whose names say no task", no_text)
    elif no_text:
        made.missing.append(f"{one.name}: {no_text} files are here and no text about them")
    return found


def _folders(folder: Path) -> list[os.DirEntry[str]]:
    """The folders in it, whose paths are absolute."""
    try:
        return [place for place in os.scandir(os.path.abspath(folder)) if place.is_dir()]
    except FileNotFoundError:
        return []


def _texts(file: Path) -> Mapping[str, list[str]]:
    try:
        texts = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        raise DataError(file, f"can't be read ({error}); remove it and fetch again") from error
    if not isinstance(texts, dict) or not all(
        isinstance(said, list) and all(isinstance(text, str) for text in said) for said in texts.values()
    ):
        raise DataError(file, "must be a JSON object of lists of texts; remove it and fetch again")
    return texts


def write_texts(folder: Path, name: str, texts: Mapping[str, list[str]]) -> None:
    """Keep the texts of a set, where `make_tables` reads them. Raises OSError."""
    file = folder / name / TEXTS
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part:
        part.write_text(json.dumps(texts, ensure_ascii=False, indent=0), "utf-8")


def _table_of(item: _Item, one: DataSet) -> str:
    split, dev = item.original.split, next((name for name in one.tables if name in DEV), None)
    if split in ("test", "val2017") or (not split and _byte(text_key(item.texts[0])) % 5 == 0):
        return next(name for name in one.tables if name in TESTS)
    share = {"dev": 2, "train2017": 10}.get(split)
    if dev is not None and share is not None and _byte(Path(item.original.file).stem) % share == 0:
        return dev
    return next(name for name in one.tables if name in TRAINING)


def _byte(text: str) -> int:
    return hashlib.sha256(text.encode()).digest()[0]


def _count(counts: dict[str, int], what: str, number: int) -> None:
    if number:
        counts[what] = counts.get(what, 0) + number
