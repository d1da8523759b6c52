"""What stands where a bundle is written: only a bundle is replaced, and only its own files are removed."""

from __future__ import annotations

import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.bundle.write import check_replaceable
from vljepa_edge.errors import BundleError

WEB_APP = {"name": "shop", "short_name": "shop", "icons": [{"src": "icon.png"}], "start_url": "/"}


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def web_app(folder: Path) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(WEB_APP))
    (folder / "icon.png").write_bytes(b"\x89PNG")


def only_a_manifest(folder: Path) -> None:
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(WEB_APP))


def cut_manifest(folder: Path) -> None:
    write_toy_bundle(folder)
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text()[:-9])


def with_notes(name: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        write_toy_bundle(folder)
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("my own")

    return make


def with_an_empty_folder(folder: Path) -> None:
    write_toy_bundle(folder)
    (folder / "plans").mkdir()


def with_a_link(folder: Path) -> None:
    write_toy_bundle(folder)
    (folder / "latest").symlink_to("graphs")


def file_in_place_of_a_folder(folder: Path) -> None:
    folder.write_text("a file")


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (web_app, "not a bundle"),
        (only_a_manifest, "not a bundle"),
        (cut_manifest, "not a bundle"),
        (with_notes("thesis.txt"), "thesis.txt"),
        (with_notes("graphs/mine.onnx"), "graphs/mine.onnx"),
        (with_notes("README.md"), "README.md"),
        (with_notes(".git/HEAD"), ".git"),
        (with_notes("runs/1.log"), "runs"),
        (with_an_empty_folder, "plans"),
        (with_a_link, "latest"),
        (file_in_place_of_a_folder, "not a bundle"),
    ],
)
def test_a_folder_with_anything_of_the_users_is_left_alone(
    make: Callable[[Path], None], named: str, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    make(target)
    before = tree(tmp_path)
    with pytest.raises(BundleError, match=named):
        check_replaceable(target)
    with pytest.raises(BundleError, match="left alone"):
        write_toy_bundle(target, seed=1)
    assert tree(tmp_path) == before


def test_a_place_that_nothing_can_be_written_at_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "deep" / "my.vljepa", Path("/proc/none/my-bundle")):
        with pytest.raises(BundleError, match="can't be written: "):
            check_replaceable(place)
    check_replaceable(tmp_path / "not" / "there" / "yet")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("data", [b"a text", b"PK\x03\x04 cut", None])
def test_a_file_that_is_no_bundle_is_left_alone(data: bytes | None, tmp_path: Path) -> None:
    target = tmp_path / "my.vljepa"
    if data is None:
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("manifest.json", json.dumps(WEB_APP))
    else:
        target.write_bytes(data)
    before = target.read_bytes()
    with pytest.raises(BundleError, match="not a bundle"):
        write_toy_bundle(target)
    assert target.read_bytes() == before


def test_a_file_put_into_the_folder_while_it_is_replaced_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = write_toy_bundle(tmp_path / "toy")
    verify = Bundle.open

    def opened(path: Path) -> Bundle:
        (target / "thesis.txt").write_text("four years")
        return verify(path)

    monkeypatch.setattr(Bundle, "open", opened)
    with pytest.raises(BundleError, match=r"thesis\.txt"):
        write_toy_bundle(target, seed=1)
    assert (target / "thesis.txt").read_text() == "four years"
    assert [item.name for item in tmp_path.iterdir()] == ["toy"]


@pytest.mark.parametrize("name", ["toy", "toy.vljepa"])
def test_a_link_to_a_bundle_stays_a_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    real = write_toy_bundle(tmp_path / "store" / name)
    link = tmp_path / name
    link.symlink_to(real)
    write_toy_bundle(link, seed=1)
    assert link.is_symlink() and Bundle.open(real).manifest.provenance == {"seed": 1}
    assert sorted(item.name for item in tmp_path.iterdir()) == sorted(["store", name])
    assert [item.name for item in real.parent.iterdir()] == [name]


def test_empty_places_are_filled_and_a_folder_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    (tmp_path / "empty.vljepa").touch()
    for name in ("empty", "empty.vljepa"):
        assert Bundle.open(write_toy_bundle(tmp_path / name))
    assert stat.S_IMODE((tmp_path / "empty").stat().st_mode) == 0o700


def test_a_bundle_that_lacks_a_file_is_replaced(tmp_path: Path) -> None:
    """A copy that was interrupted is a bundle all the same: its manifest is."""
    target = write_toy_bundle(tmp_path / "toy")
    (target / "NOTICE").unlink()
    (target / "graphs/predictor.onnx").write_bytes(b"half")
    assert Bundle.open(write_toy_bundle(target, seed=1))


def test_the_current_folder_may_be_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write_toy_bundle(Path())
    os.chdir(tmp_path)
    assert Bundle.open(tmp_path / "here")
