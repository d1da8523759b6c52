"""The files that make up a bundle: a folder and a zip look the same from above. Nothing in them is trusted."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from vljepa_edge.bundle.manifest import MANIFEST, check_name
from vljepa_edge.errors import BundleError

CHUNK = 1 << 20
MAX_FILES = 1000
MAX_RATIO = 200  # of a zip entry: real bytes over packed bytes. Weights pack about 1:1, tokenizers about 5:1.
_BESIDE = frozenset({".git", ".gitattributes", ".gitignore", ".cache"})  # of git and the Hugging Face hub; never read


class Files(Protocol):
    """The files of one bundle, by their names in it."""

    sizes: dict[str, int]  # of every file, by its name in the bundle

    def open(self, name: str) -> IO[bytes]: ...

    def close(self) -> None: ...


class FolderFiles:
    """Of a folder. Raises BundleError for what no bundle holds."""

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


class ZipFiles:
    """Of a .vljepa file. Raises BundleError for what no bundle holds."""

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
            if info.file_size > CHUNK and info.file_size > MAX_RATIO * info.compress_size:
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
def opened(path: Path) -> Iterator[Files]:
    """The files at `path`. What the operating system or zipfile says against them becomes a BundleError."""
    store: Files | None = None
    try:
        store = FolderFiles(path) if path.is_dir() else ZipFiles(path)
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
