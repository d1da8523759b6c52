"""A deployed model on disk: a folder, or one .vljepa zip, that holds a manifest, ONNX graphs and tokenizers.

Nothing in a bundle is trusted: names, sizes and hashes are checked before a byte is used, graphs may not point to
weights elsewhere, and nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vljepa_edge.bundle.files import CHUNK, Files, FolderFiles, opened
from vljepa_edge.bundle.manifest import MANIFEST, FileEntry, Manifest, parse_manifest
from vljepa_edge.bundle.mapped import MappedFile, MappedFiles
from vljepa_edge.bundle.onnx_bytes import external_weights
from vljepa_edge.errors import BundleError
from vljepa_edge.support.arguments import as_path, shown

MAX_MANIFEST = 4 << 20
MAX_BYTES = 16 << 30
_README = "README.md"  # the hub's page about a model: it may lie beside a bundle's files without being one
SUFFIX = ".vljepa"  # of a bundle in one file


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. `digest` is the SHA-256 of its manifest, which holds the hashes of everything else."""

    path: Path
    manifest: Manifest
    digest: str
    _mapped: MappedFiles = field(init=False, default_factory=MappedFiles, compare=False, repr=False)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Bundle:
        """Open a folder or a .vljepa file and verify all of it.

        Raises BundleError that names the file when any is missing, unknown, too large, altered, or outside the bundle.
        """
        root = as_path(path, "the path of a bundle")
        with opened(root) as store:
            raw = _manifest(store, root)
            manifest = parse_manifest(raw)
            entries = manifest.entries()
            _check_listing(store.sizes, entries)
            graphs = {graph.file for graph in manifest.graphs.values()}
            bundle = cls(root, manifest, hashlib.sha256(raw).hexdigest())
            for name, entry in entries.items():
                if name not in graphs:
                    _verify(store, name, entry)
                elif isinstance(store, FolderFiles) and entry.bytes:
                    bundle._mapped[name] = _mapped_graph(store, name, entry)
                else:
                    _check_graph(name, _verified(store, name, entry))
        return bundle

    def read(self, name: str) -> bytes:
        """The bytes of one file named in the manifest; verified again, so a file altered since `open` is refused."""
        entry = self.manifest.entries().get(name) if isinstance(name, str) else None
        if entry is None:
            raise BundleError(
                shown(name), f"is not a file of the bundle {self.path}; it has {', '.join(self.manifest.entries())}"
            )
        with opened(self.path) as store:
            return _verified(store, name, entry)

    def view(self, name: str) -> memoryview:
        """The bytes that `read` gives. Those of a graph in a folder are neither copied nor hashed a second time unless
        the file has changed since `open`."""
        known = self._mapped.get(name) if isinstance(name, str) else None
        if known is not None and known.is_at(self.path / name):
            return memoryview(known.data)
        return memoryview(self.read(name))


def default_bundle() -> Path:
    """The folder of the bundle that comes with the package."""
    return Path(__file__).parent.parent / "models" / "tiny"


def read_listing(path: Path) -> tuple[list[str], bytes]:
    """The names of all files at `path` and the bytes of its manifest, nothing verified. Raises BundleError."""
    with opened(path) as store:
        return list(store.sizes), _manifest(store, path)


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


def _manifest(store: Files, root: Path) -> bytes:
    if MANIFEST not in store.sizes:
        raise BundleError(root, f"is not a bundle: it has no {MANIFEST}; give a bundle folder or a {SUFFIX} file")
    return _take(store, MANIFEST, MAX_MANIFEST)


def _take(store: Files, name: str, limit: int) -> bytes:
    with store.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise BundleError(name, f"is larger than {limit} bytes, the most it may be")
    return data


def _verified(store: Files, name: str, entry: FileEntry) -> bytes:
    data = _take(store, name, entry.bytes)
    _check_hash(name, hashlib.sha256(data).hexdigest(), entry)
    return data


def _verify(store: Files, name: str, entry: FileEntry) -> None:
    digest = hashlib.sha256()
    with store.open(name) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    _check_hash(name, digest.hexdigest(), entry)


def _check_hash(name: str, digest: str, entry: FileEntry) -> None:
    if digest != entry.sha256:
        raise BundleError(
            name, f"was altered: its SHA-256 is {digest}, {MANIFEST} says {entry.sha256}; copy or download it again"
        )


def _mapped_graph(store: FolderFiles, name: str, entry: FileEntry) -> MappedFile:
    with store.open(name) as file:
        try:
            mapped = MappedFile(file)
        except ValueError:  # it was emptied since the listing
            raise BundleError(name, "is empty; copy or download it again") from None
    _check_hash(name, mapped.sha256, entry)
    _check_graph(name, mapped.data)
    mapped.release()
    return mapped


def _check_graph(name: str, model: bytes | mmap.mmap) -> None:
    try:
        outside = external_weights(model)
    except ValueError as error:
        raise BundleError(name, f"is not an ONNX graph: {error}") from None
    if outside:
        raise BundleError(
            name, f"keeps {outside[0]!r} in another file (ONNX external data); save it with the weights inside"
        )
