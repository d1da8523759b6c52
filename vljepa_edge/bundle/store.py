"""A deployed model on disk: a folder, or one .vljepa zip, that holds a manifest, ONNX graphs and tokenizers.

Nothing in a bundle is trusted: names, sizes and hashes are checked before a byte is used, graphs may not point to
weights elsewhere, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from vljepa_edge.bundle.manifest import MANIFEST, FileEntry, Manifest, check_name, parse_manifest
from vljepa_edge.bundle.onnx_bytes import external_weights
from vljepa_edge.errors import BundleError
from vljepa_edge.support.arguments import as_path, shown

MAX_MANIFEST = 4 << 20
MAX_BYTES = 16 << 30
MAX_FILES = 1000
MAX_RATIO = 200  # of a zip entry: real bytes over packed bytes. Weights pack about 1:1, tokenizers about 5:1.
_BESIDE = frozenset({".git", ".gitattributes", ".gitignore", ".cache"})  # of git and the Hugging Face hub; never read
_README = "README.md"  # the hub's page about a model: it may lie beside a bundle's files without being one
_CHUNK = 1 << 20
SUFFIX = ".vljepa"  # of a bundle in one file


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `digest` is the SHA-256 of its manifest, which holds the hashes of everything else."""

    path: Path
    manifest: Manifest
    digest: str

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a folder or a .vljepa file and verify all of it.

        Raises BundleError that names the file when any is missing, unknown, too large, altered, or outside the bundle.
        """
        root = as_path(path, "the path of a bundle")
        with _opened(root) as store:
            raw = _manifest(store, root)
            manifest = parse_manifest(raw)
            entries = manifest.entries()
            _check_listing(store.sizes, entries)
            graphs = {graph.file for graph in manifest.graphs.values()}
            for name, entry in entries.items():
                if name in graphs:
                    _check_graph(name, _verified(store, name, entry))
                else:
                    _verify(store, name, entry)
        return cls(root, manifest, hashlib.sha256(raw).hexdigest())

    def read(self, name: str) -> bytes:
        """The bytes of one file named in the manifest; verified again, so a file altered since `open` is refused."""
        entry = self.manifest.entries().get(name) if isinstance(name, str) else None
        if entry is None:
            raise BundleError(
                shown(name), f"is not a file of the bundle {self.path}; it has {', '.join(self.manifest.entries())}"
            )
        with _opened(self.path) as store:
            return _verified(store, name, entry)


def default_bundle() -> Path:
    """The folder of the bundle that comes with the package."""
    return Path(__file__).parent.parent / "models" / "tiny"


def read_listing(path: Path) -> tuple[list[str], bytes]:
    """The names of all files at `path` and the bytes of its manifest, nothing verified. Raises BundleError."""
    with _opened(path) as store:
        return list(store.sizes), _manifest(store, path)


# --- reading: a folder and a zip look the same from above ---


class _Store(Protocol):
    sizes: dict[str, int]  # of every file, by its name in the bundle

    def open(self, name: str) -> IO[bytes]: ...

    def close(self) -> None: ...


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.sizes: dict[str, int] = {}
        real = Path(os.path.realpath(root))
        self._reachable = (real, real.parent.parent / "blobs") if real.parent.name == "snapshots" else (real,)
        if (root / MANIFEST).is_file():  # else it's some other folder, perhaps a large one
            self._walk(root, "")

    def _walk(self, folder: Path, prefix: str) -> None:
        for item in os.scandir(folder):
            name = prefix + item.name
            if name in _BESIDE:
                continue
            if item.is_symlink() and not self._stays(item.path):
                raise BundleError(name, "is a link that leaves the bundle; copy the file into it (cp -L)")
            if item.is_dir(follow_symlinks=False):
                self._walk(Path(item.path), f"{name}/")
                continue
            status = os.stat(item.path)
            if not stat.S_ISREG(status.st_mode):
                raise BundleError(name, "is not a regular file; a bundle holds plain files and folders only")
            self.sizes[name] = status.st_size
            if len(self.sizes) > MAX_FILES:
                raise BundleError(name, f"is one of over {MAX_FILES} files; a bundle holds at most {MAX_FILES}")

    def _stays(self, link: str) -> bool:
        """Whether a link ends in the bundle, or where the Hugging Face hub's cache keeps what its snapshots point to:
        models--*/snapshots/REVISION/NAME is a link to models--*/blobs/HASH."""
        target = Path(os.path.realpath(link))
        return any(target.is_relative_to(folder) for folder in self._reachable)

    def open(self, name: str) -> IO[bytes]:
        return open(self.root / name, "rb")

    def close(self) -> None:
        pass


class _Zip:
    def __init__(self, path: Path) -> None:
        self.zip = zipfile.ZipFile(path)
        self.sizes: dict[str, int] = {}
        for info in self.zip.infolist():
            name = info.orig_filename
            kind = stat.S_IFMT(info.external_attr >> 16)
            check_name(name.removesuffix("/"), where="the archive")
            if name in self.sizes:
                raise BundleError(name, "occurs twice in the archive; a bundle holds each file once")
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BundleError(
                    name, "is a link or special file in the archive; a bundle holds plain files and folders only"
                )
            if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise BundleError(name, "is encrypted or packed in an unknown way; entries must be stored or deflated")
            if info.file_size > _CHUNK and info.file_size > MAX_RATIO * info.compress_size:
                raise BundleError(name, f"unpacks to over {MAX_RATIO} times its packed size; a bundle's files never do")
            if not name.endswith("/"):
                self.sizes[name] = info.file_size
        if len(self.sizes) > MAX_FILES:
            raise BundleError(path, f"holds {len(self.sizes)} files; a bundle holds at most {MAX_FILES}")

    def open(self, name: str) -> IO[bytes]:
        return self.zip.open(name)

    def close(self) -> None:
        self.zip.close()


@contextmanager
def _opened(path: Path) -> Iterator[_Store]:
    """The files at `path`. What the operating system or zipfile says against them becomes a BundleError."""
    store: _Store | None = None
    try:
        store = _Folder(path) if path.is_dir() else _Zip(path)
        yield store
    except FileNotFoundError as error:
        raise BundleError(error.filename or path, "does not exist; give a bundle folder or a .vljepa file") from None
    except OSError as error:
        raise BundleError(error.filename or path, f"can't be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError) as error:
        raise BundleError(
            path, f"is not a readable bundle ({error}); give a bundle folder or a .vljepa file"
        ) from error
    finally:
        if store is not None:
            store.close()


def _check_listing(sizes: Mapping[str, int], entries: Mapping[str, FileEntry]) -> None:
    """The files that are there are the files of the manifest, at their sizes."""
    for name in sizes:
        if name not in (MANIFEST, _README) and name not in entries:
            raise BundleError(name, f"is not named in {MANIFEST}; a bundle holds nothing else. Remove it")
    for name, entry in entries.items():
        if name not in sizes:
            raise BundleError(name, f"is named in {MANIFEST} but missing")
        if sizes[name] != entry.bytes:
            raise BundleError(
                name, f"has {sizes[name]} bytes, {MANIFEST} says {entry.bytes}; copy or download it again"
            )
    total = sum(entry.bytes for entry in entries.values())
    if total > MAX_BYTES:
        raise BundleError(MANIFEST, f"names {total} bytes of files; a bundle holds at most {MAX_BYTES}")


def _manifest(store: _Store, root: Path) -> bytes:
    if MANIFEST not in store.sizes:
        raise BundleError(root, f"is not a bundle: it has no {MANIFEST}; give a bundle folder or a {SUFFIX} file")
    return _take(store, MANIFEST, MAX_MANIFEST)


def _take(store: _Store, name: str, limit: int) -> bytes:
    with store.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleError(name, f"is larger than {limit} bytes, the most it may be")
    return data


def _verified(store: _Store, name: str, entry: FileEntry) -> bytes:
    data = _take(store, name, entry.bytes)
    _check_hash(name, hashlib.sha256(data).hexdigest(), entry)
    return data


def _verify(store: _Store, name: str, entry: FileEntry) -> None:
    digest = hashlib.sha256()
    with store.open(name) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    _check_hash(name, digest.hexdigest(), entry)


def _check_hash(name: str, digest: str, entry: FileEntry) -> None:
    if digest != entry.sha256:
        raise BundleError(
            name, f"was altered: its SHA-256 is {digest}, {MANIFEST} says {entry.sha256}; copy or download it again"
        )


def _check_graph(name: str, model: bytes) -> None:
    try:
        outside = external_weights(model)
    except ValueError as error:
        raise BundleError(name, f"is not an ONNX graph: {error}") from None
    if outside:
        raise BundleError(
            name, f"keeps {outside[0]!r} in another file (ONNX external data); save it with the weights inside"
        )
