"""Any source as webdataset tars with an index: few large files that are read in place, with the same samples.

A video is packed as it is, or, where a sample is a small part of it, as that part, cut out without encoding anything
again. So the frames are the source's own, and what the disk gains costs no quality.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from vljepa_edge.errors import DataError, InputError, VideoError
from vljepa_edge.training.data.check import Fault, OnStep
from vljepa_edge.training.data.cut import Part, cut_out
from vljepa_edge.training.data.recording import Recordings
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.listed import FileSource
from vljepa_edge.training.data.tar_index import write_index
from vljepa_edge.video.stretch import FramePlan, read_frames

SAMPLES = 1000  # of a shard
_PROBE = FramePlan(count=2, width=16, height=16)


@dataclass
class Packed:
    """What was written, and what was left out since it can't be read."""

    out: Path
    shards: int = 0
    samples: int = 0
    cut: int = 0
    """Samples of which only their part of the video is packed."""
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        faults = [fault._asdict() for fault in self.faults]
        return {**vars(self), "out": str(self.out), "faults": faults}


def pack(
    spec: str | Path | Mapping[str, Any], out: str | Path, samples: int = SAMPLES, on_step: OnStep | None = None
) -> Packed:
    """Writes a source, see `open_source`, to a folder that is not there yet, and appears when it is complete.

    samples: of a shard. Samples that can't be read are left out. Photos of HEIF's kind and animated WebP can't be
    packed. Each sample keeps the SHA-256 of its recording, so that parts of one are known as such.
    Raises InputError, DataError, OSError.
    """
    if samples < 1:
        raise InputError(f"a shard must have at least 1 sample, got {samples}")
    out = Path(out)
    if os.path.lexists(out):
        raise InputError(f"{out} is there already; name a folder that is not")
    source = open_source(spec)
    out.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        packed, recordings = Packed(out), Recordings()
        for begin in range(0, len(source), samples):
            indices = range(begin, min(begin + samples, len(source)))
            _write_shard(part / f"{packed.shards:06}.tar", source, indices, packed, recordings, on_step)
        if packed.samples == 0:
            raise DataError(source.name, f"no sample can be packed; the last: {packed.faults[-1].reason}")
        part.chmod(0o755)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return packed


def _write_shard(
    archive: Path, source: FileSource, indices: range, packed: Packed, recordings: Recordings, on_step: OnStep | None
) -> None:
    before = packed.samples
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        for index in indices:
            sample = source[index]
            try:
                media = _media(source, sample, packed)
            except VideoError as error:
                packed.faults.append(Fault(source.name, f"sample {sample.key}", str(error)))
            else:
                _add(tar, f"{index:09}{media.suffix}", media.data)
                row = _row(sample, media) | {"video": recordings.digest(sample)}
                _add(tar, f"{index:09}.json", json.dumps(row, ensure_ascii=False).encode())
                packed.samples += 1
            if on_step is not None:
                on_step("samples", index + 1, len(source))
    if packed.samples == before:
        archive.unlink()
        return
    write_index(archive)
    packed.shards += 1
    packed.bytes += archive.stat().st_size


def _media(source: FileSource, sample: Sample, packed: Packed) -> Part:
    with source.open(sample) as file:
        part = cut_out(file, sample.media, sample.start, sample.end)
        if part is not None:
            packed.cut += 1
            return part
        read_frames(file, _PROBE, sample.start, sample.end, name=sample.media)
        file.seek(0)
        suffix = PurePath(sample.media).suffix.lower()
        return Part(file.read(), suffix, sample.start, sample.end)


def _row(sample: Sample, media: Part) -> dict[str, Any]:
    texts = {"question": sample.query, "answer": sample.target} if sample.query else {"caption": sample.target}
    row = {
        **texts,
        "key": sample.key,
        "start": media.start,
        "end": media.end,
        "text_key": sample.text_key,
        "also": list(sample.also),
        "negatives": list(sample.negatives),
    }
    return {name: value for name, value in row.items() if value not in (None, [])}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
