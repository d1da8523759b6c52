"""The reader of bundles in C++ opens what Python opens and refuses what Python refuses, for the same reason."""

from __future__ import annotations

import atexit
import json
import os
import random
import re
import subprocess
import zipfile
from functools import cache
from pathlib import Path

import pytest

from tests.bundle.test_hostile import GRAPH, TABLE, edited, folder, nothing, zipped
from tests.cpp_programs import program
from tests.fuzz._damage import damaged_bytes, damaged_json
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle import Bundle, default_bundle
from vljepa_edge.errors import BundleError

__all__ = ["folder"]

CASES = int(os.environ.get("VLJEPA_FUZZ_CASES", "300"))

# Entries that are packed are refused as such: C++ reads stored ones alone.
PACKED = {"zip whose sizes lie": ("toy/|NOTICE|MODEL_CARD.md|" + GRAPH, "is deflated")}


@cache
def opener() -> subprocess.Popen[str]:
    """One process for all cases: it answers a path with a line."""
    pipe = subprocess.PIPE
    started = subprocess.Popen([program("open_bundle")], stdin=pipe, stdout=pipe, text=True, bufsize=1)
    atexit.register(started.kill)
    return started


def opened(path: Path) -> list[str]:
    """What the program says of a path: "ok", name, digest; or the file that is refused and the message."""
    process = opener()
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{path.absolute()}\n")
    return process.stdout.readline().rstrip("\n").split("\t")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", TABLE)
def test_a_hostile_bundle_is_refused_by_the_same_name(
    case: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, file, message = TABLE[case]
    file, message = PACKED.get(case, (file, message))
    monkeypatch.chdir(tmp_path)
    found, told = opened(broken(folder))
    names = file.split("|")
    assert found in names or Path(found).name in names, (found, told)
    assert re.search(message, told), told


def test_good_bundles_open_as_a_folder_and_as_a_zip(tmp_path: Path) -> None:
    paths = [
        default_bundle(),
        write_toy_bundle(tmp_path / "toy"),
        write_toy_bundle(tmp_path / "toy.vljepa"),
        write_toy_bundle(tmp_path / "clip.vljepa", vjepa=True),
    ]
    expected = [["ok", bundle.manifest.name, bundle.digest] for bundle in map(Bundle.open, paths)]
    assert [opened(path) for path in paths] == expected


def test_a_zip_with_64_bit_sizes_opens(tmp_path: Path) -> None:
    made = write_toy_bundle(tmp_path / "toy")
    path = tmp_path / "large.vljepa"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(item for item in made.rglob("*") if item.is_file()):
            with archive.open(zipfile.ZipInfo(file.relative_to(made).as_posix()), "w", force_zip64=True) as entry:
                entry.write(file.read_bytes())
    assert opened(path) == ["ok", "toy", Bundle.open(path).digest]


def test_every_key_of_the_manifest_is_held_to_its_type(tmp_path: Path) -> None:
    """Another type in place of each value: where Python refuses it so does C++, and where Python takes it C++ does."""
    made = write_toy_bundle(tmp_path / "toy")
    manifest = json.loads((made / "manifest.json").read_text())
    manifest["confidence"] = {
        "caption": {"kind": "logistic", "slope": 1, "offset": 0.5},
        "label": {"kind": "isotonic", "knots": [[0, 0.1], [0.5, 0.9]]},
        "min_confidence": 0.25,
    }
    places: list[tuple[str | int, ...]] = []

    def walk(value: object, at: tuple[str | int, ...]) -> None:
        places.append(at)
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            walk(item, (*at, key))

    walk(manifest, ())
    differing = []
    for at in places[1:]:
        for other in (None, True, -1, 0.5, "x", []):
            changed = json.loads(json.dumps(manifest))
            inside = changed
            for key in at[:-1]:
                inside = inside[key]
            inside[at[-1]] = other
            (made / "manifest.json").write_text(json.dumps(changed))
            try:
                Bundle.open(made)
                expected = "ok"
            except BundleError as error:
                expected = error.file if isinstance(error.file, str) else str(error.file)
            found = opened(made)[0]
            if (found == "ok") != (expected == "ok"):
                differing.append((at, other, expected, found))
    assert not differing


def test_damaged_bundles_are_refused_where_python_refuses_them(tmp_path: Path) -> None:
    rng = random.Random(0)
    toy = write_toy_bundle(tmp_path / "toy")
    archive = write_toy_bundle(tmp_path / "toy.vljepa").read_bytes()
    manifest = json.loads((toy / "manifest.json").read_text())
    damaged = tmp_path / "damaged.vljepa"
    differing = []
    for number in range(CASES):
        if number % 2:
            (toy / "manifest.json").write_bytes(damaged_json(manifest, rng))
            path = toy
        else:
            damaged.write_bytes(damaged_bytes(archive, rng))
            path = damaged
        found, *told = opened(path)
        refused = refusal(path)
        # The reader in C++ does not look at checksums beside SHA-256. Python reads zips with something before them.
        if found == "ok" and refused and not re.search("CRC-32", refused):
            differing.append((number, path.name, refused))
        if found != "ok" and not refused and not re.search("deflated|not a readable bundle", told[0]):
            differing.append((number, path.name, told[0]))
    assert not differing, differing[:3]


def refusal(path: Path) -> str:
    """What Python says against a bundle; nothing if it opens."""
    try:
        Bundle.open(path)
    except BundleError as error:
        return str(error)
    return ""


def test_the_version_that_the_reader_knows_is_that_of_the_package(folder: Path) -> None:
    from vljepa_edge import __version__

    edited(lambda m: m.update(needs=__version__))(folder)
    assert opened(folder)[0] == "ok", "raise kReads in bindings/src/bundle/versions.hpp, once the reader knows new keys"
    edited(lambda m: m.update(needs="99.1", rhythm=3))(folder)
    assert re.search(r"needs vljepa-edge 99\.1 or later", opened(folder)[1])


def test_packed_entries_are_refused(folder: Path) -> None:
    file, told = opened(zipped(nothing, zipfile.ZIP_DEFLATED)(folder))
    assert "is deflated; libvljepa reads stored entries only" in told and file in told
