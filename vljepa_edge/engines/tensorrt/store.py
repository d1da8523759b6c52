"""A folder of TensorRT engines: one plan a graph, and a small manifest that says what they were built from and for.

A plan runs only on the GPU and the TensorRT that it was built for, and only in place of the graph it was built from.
All are recorded, so that a stale folder, or one of another machine, is refused with what differs. Plans are code for
the GPU: a folder is as trustworthy as whoever wrote it, and hashes tell only whether it is complete.
"""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vljepa_edge.bundle.manifest import Sha256, Size
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import EngineError, InputError, VLJepaError
from vljepa_edge.support.atomic import replacing

ENGINES = "engines.json"
_PLAN = ".plan"
_MAX_MANIFEST = 4 << 20
_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*\.plan$"
Shape = tuple[int, ...]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Platform(_Part):
    """What a plan is bound to."""

    gpu: str
    compute_capability: str
    multiprocessors: int
    tensorrt: str

    def __str__(self) -> str:
        about = f"compute capability {self.compute_capability}, {self.multiprocessors} multiprocessors"
        return f"{self.gpu} ({about}), TensorRT {self.tensorrt}"


class PlanEntry(_Part):
    """One plan. `source_sha256` is the hash of the ONNX file that it stands for, `shapes` the least, the best and the
    largest shape of each input that varies, `int8_layers` of `layers` multiply int8. `plugins` of its nodes run our own
    kernels, whose code is in the plan. `f32`: what is not int8 computes in fp32, nothing in fp16."""

    file: Annotated[str, Field(pattern=_NAME)]
    sha256: Sha256
    bytes: Size
    source_sha256: Sha256
    shapes: dict[str, tuple[Shape, Shape, Shape]]
    layers: int
    int8_layers: int
    plugins: int = 0
    f32: bool = False


class EnginesManifest(_Part):
    """All of `engines.json`; `plans` by the name of the ONNX file in the bundle. `bundle_path`: where the bundle
    was, `options`: what `vljepa build` was given beside it; they build the folder again."""

    schema_version: Literal[1] = Field(1, alias="schema")
    bundle: str
    bundle_digest: Sha256
    bundle_path: str = "BUNDLE"
    options: tuple[str, ...] = ()
    platform: Platform
    precision: Literal["f16"]
    plans: dict[str, PlanEntry]


@dataclass(frozen=True)
class EngineFolder:
    """An engines folder that was read and is complete as far as its manifest goes."""

    path: Path
    manifest: EnginesManifest

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> EngineFolder:
        """Raises EngineError when there is no readable manifest."""
        root = Path(path)
        try:
            with (root / ENGINES).open("rb") as file:
                raw = file.read(_MAX_MANIFEST)
            return cls(root, EnginesManifest.model_validate_json(raw))
        except OSError as error:
            reason = f"{root} is no folder of TensorRT engines ({error.strerror})"
        except ValidationError as error:
            reason = f"{root / ENGINES} is damaged ({error.errors()[0]['msg']})"
        raise EngineError(f"{reason}; to fix it, delete what is there and run: {rebuild(root)}")

    def plan(self, model: bytes, graph: str, here: Platform) -> bytes:
        """The plan that stands for a serialised ONNX model on this machine.

        Raises EngineError when it was altered, and when the machine or the bundle is another, with each difference.
        """
        source = hashlib.sha256(model).hexdigest()
        entry = next((plan for plan in self.manifest.plans.values() if plan.source_sha256 == source), None)
        if entry is None or here != self.manifest.platform:
            raise self._stale(source, graph, here)
        try:
            data = (self.path / entry.file).read_bytes()
            damage = "" if hashlib.sha256(data).hexdigest() == entry.sha256 else "was altered"
        except OSError as error:
            damage = f"can't be read ({error.strerror})"
        if damage:
            again = rebuild(self.path, self.manifest.bundle_path, self.manifest.options)
            raise EngineError(f"{graph}: {self.path / entry.file} {damage}; to fix it, run: {again}")
        return data

    def _stale(self, source: str, graph: str, here: Platform) -> EngineError:
        """Why there is no plan for a graph whose hash is `source`."""
        built = self.manifest
        differences = [
            f"{what} is {mine}, not {theirs}"
            for what, mine, theirs in (
                ("the GPU", here.gpu, built.platform.gpu),
                ("its compute capability", here.compute_capability, built.platform.compute_capability),
                ("its number of multiprocessors", here.multiprocessors, built.platform.multiprocessors),
                ("TensorRT", here.tensorrt, built.platform.tensorrt),
            )
            if mine != theirs
        ]
        theirs = f"{built.bundle}, digest {built.bundle_digest[:16]}"
        bundle = self._bundle_with(source)
        if bundle is not None and bundle.digest != built.bundle_digest:
            about = bundle.manifest
            differences.append(f"the bundle is {about.name} {about.version}, digest {bundle.digest[:16]}, not {theirs}")
        elif bundle is None and all(plan.source_sha256 != source for plan in built.plans.values()):
            differences.append(f"the bundle is another than {theirs}, of {built.bundle_path}")
        again = rebuild(self.path, "BUNDLE" if bundle is None else built.bundle_path, built.options)
        said = "; ".join(differences)
        return EngineError(f"{graph}: the engines in {self.path} don't fit: {said}; to fix it, run: {again}")

    def _bundle_with(self, source: str) -> Bundle | None:
        """What lies now where the bundle was, if it has that graph: else the graph at hand is from elsewhere."""
        try:
            bundle = Bundle.open(self.manifest.bundle_path)
        except VLJepaError:
            return None
        return bundle if source in {entry.sha256 for entry in bundle.manifest.graphs.values()} else None


class EngineWriter:
    """Collects plans in a folder. Nothing refers to them until `finish`, which replaces the manifest in one step."""

    def __init__(self, path: Path, before: Collection[str]) -> None:
        """before: the plans of the folder as it stands. Only they, and what is added here, are ever removed."""
        self.path = path
        self._before, self._added = set(before), set[str]()

    def add(self, graph: str, plan: bytes) -> tuple[str, str]:
        """Write one plan; returns its file name and SHA-256. Raises OSError."""
        digest = hashlib.sha256(plan).hexdigest()
        file = f"{Path(graph).stem}-{digest[:12]}{_PLAN}"
        self._added.add(file)
        write_file(self.path / file, plan)
        return file, digest

    def finish(self, manifest: EnginesManifest) -> EngineFolder:
        """Make the plans those of the folder, and remove the ones before them."""
        write_file(self.path / ENGINES, manifest.model_dump_json(by_alias=True, indent=1).encode())
        plans = {plan.file for plan in manifest.plans.values()}
        self._remove(self._before - plans)
        self._before = plans
        return EngineFolder(self.path, manifest)

    def abandon(self) -> None:
        """Remove what was added and is not part of the folder as it stood."""
        self._remove(self._added - self._before)

    def _remove(self, files: Collection[str]) -> None:
        for file in files:
            with suppress(OSError):
                (self.path / file).unlink()


@contextmanager
def engine_writer(out: str | os.PathLike[str]) -> Iterator[EngineWriter]:
    """A writer for a new folder or one of engines; on an error or Ctrl-C the folder is left as it was.

    Raises InputError when something else is at `out`, EngineError when it can't be written to.
    """
    path = Path(out)
    writer = EngineWriter(path, _plans_of(path))
    is_new = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
        yield writer
    except BaseException as error:
        writer.abandon()
        if is_new:
            with suppress(OSError):
                path.rmdir()
        if isinstance(error, OSError):
            reason = f"{error.filename or path} can't be written: {error.strerror or error}"
            raise EngineError(reason) from error
        raise


def _plans_of(path: Path) -> set[str]:
    """The plans of the engines at `path`, none where nothing or an empty folder is. Raises InputError for all else."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return set()
    try:
        return {plan.file for plan in EngineFolder.open(path).manifest.plans.values()}
    except EngineError as error:
        reason = f"{path} exists and is no folder of TensorRT engines, so it is left alone"
        raise InputError(f"{reason}; delete it, or name another") from error


def rebuild(path: str | Path, bundle: str = "BUNDLE", options: Sequence[str] = ()) -> str:
    """The command that builds the folder again."""
    return shlex.join(["vljepa", "build", bundle, "--out", str(path), *options])


def write_file(target: Path, data: bytes) -> None:
    """Write completely or not at all. Raises OSError."""
    with replacing(target) as part:
        part.write_bytes(data)
