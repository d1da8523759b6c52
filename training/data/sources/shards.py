"""Tars in the format of webdataset, read in place: members of one base name are a sample.

`0001.mp4` or `0001.jpg` is its video or image, `0001.json` an object as a row of a table (`caption`, or `question` and
`answer`, and may have `start`, `end`, `text_key`, `negatives`, `also`, `key`, and `video`, which samples of one
recording share; what else stands there is not read), `0001.txt` the caption where no JSON has one.
"""

from __future__ import annotations

import json
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.data.rows import Rows
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import checked
from vljepa_edge.training.data.sources.folder import IMAGES, VIDEOS
from vljepa_edge.training.data.tar_index import Member, MemberFile, members_of, read_member
from vljepa_edge.video.stretch import FramePlan, duration_of, read_frames

_MEDIA = VIDEOS | IMAGES
_MOST_TEXT = 2**20  # bytes of a .json or .txt member
_BETWEEN = "::"  # archive and member in `media`


@dataclass(frozen=True)
class Packed(Sample):
    """A sample whose media is the `size` bytes from `offset` on of an archive."""

    archive: str = ""
    offset: int = 0
    size: int = 0


class Shards:
    """The samples of tars. left_out: members that made no sample, by the reason."""

    def __init__(self, name: str, archives: Sequence[Path]) -> None:
        """Raises DataError for a file that is no tar, a row that is not allowed, or when there is no sample."""
        self.name = name
        self._archives = [str(archive) for archive in archives]
        left_out: Counter[str] = Counter()
        places = array("q")  # of each sample: which archive, offset, size
        self._rows = Rows(_samples(archives, places, left_out))
        self._places = np.array(places, np.int64).reshape(-1, 3)
        self.left_out = dict(left_out)
        if not len(self._rows):
            raise DataError(name, f"there are no samples in it ({len(archives)} archives)")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Sample:
        sample = self._rows[index]
        archive, offset, size = self._places[index].tolist()
        return Packed(**vars(sample), archive=self._archives[archive], offset=offset, size=size)

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """uint8 RGB (count, height, width, 3); see `read_frames`. Raises VideoError."""
        with self.open(sample) as file:
            return read_frames(file, plan, sample.start, sample.end, where, name=sample.media)

    def open(self, sample: Sample) -> BinaryIO:
        """The video or image of a sample as a file that can seek. Raises VideoError."""
        try:
            if not isinstance(sample, Packed):
                raise ValueError("it is not one of this archive's samples")
            return open_member(sample)
        except (OSError, ValueError) as error:
            raise VideoError(sample.media, f"can't be opened ({error})") from error

    def duration(self, sample: Sample) -> float:
        """Seconds of the complete video. Raises VideoError."""
        with self.open(sample) as file:
            return duration_of(file, name=sample.media)


def open_member(sample: Packed) -> BinaryIO:
    """The bytes of a sample's media. Raises OSError."""
    return cast(BinaryIO, MemberFile(Path(sample.archive), sample.offset, sample.size))


def read_shards(path: str | Path) -> Shards:
    """The samples of a tar, or of all in a folder, in the order of their names."""
    path = Path(path)
    archives = sorted(path.rglob("[!.]*.tar")) if path.is_dir() else [path]  # with a dot in front: half a download
    return Shards(str(path), archives)


def _samples(archives: Sequence[Path], places: array[int], left_out: Counter[str]) -> Iterator[Sample]:
    for number, archive in enumerate(archives):
        for base, group in _groups(members_of(archive)):
            media = next((member for suffix, member in group.items() if suffix in _MEDIA), None)
            if media is None:
                left_out["members without a video or image"] += 1
                continue
            sample = _sample(archive, base, media, group)
            if sample is None:
                left_out["members without a text"] += 1
                continue
            places.extend((number, media.offset, media.size))
            yield sample


def _groups(members: Sequence[Member]) -> Iterator[tuple[str, dict[str, Member]]]:
    """Neighbours of one base name, which ends at the first dot of a file's name, by their suffixes."""
    base, group = "", dict[str, Member]()
    for member in members:
        folder, name = os.path.split(member.name)
        stem, dot, suffix = name.partition(".")
        here = f"{folder}/{stem}" if folder else stem
        if not dot or not stem:
            continue
        if here != base and group:
            yield base, group
            group = {}
        base = here
        group[f".{suffix.lower()}"] = member
    if group:
        yield base, group


def _sample(archive: Path, base: str, media: Member, group: dict[str, Member]) -> Sample | None:
    file = str(archive)
    row: dict[str, object] = {}
    if ".json" in group:
        place = f"member {group['.json'].name}"
        try:
            found = json.loads(_text(archive, group[".json"]))
        except (ValueError, RecursionError) as error:
            raise DataError(file, f"is not JSON ({error})", place) from error
        if not isinstance(found, dict):
            raise DataError(file, f"must be a JSON object, got {type(found).__name__}", place)
        row = found
    place = f"member {base}"
    target = checked.optional_text(row, "answer" if row.get("answer") else "caption", file, place)
    if target is None and ".txt" in group:
        target = _text(archive, group[".txt"]).strip()
    if not target:
        return None
    start, end = checked.stretch(row, file, place)
    return Sample(
        key=checked.optional_text(row, "key", file, place) or base,
        media=f"{archive}{_BETWEEN}{media.name}",
        target=target,
        query=checked.optional_text(row, "question", file, place) or "",
        start=start,
        end=end,
        text_key=checked.optional_text(row, "text_key", file, place),
        also=checked.texts(row, "also", file, place),
        negatives=checked.texts(row, "negatives", file, place),
        video=checked.optional_text(row, "video", file, place),
    )


def _text(archive: Path, member: Member) -> str:
    if member.size > _MOST_TEXT:
        raise DataError(archive, f"a text must have at most {_MOST_TEXT} bytes, got {member.size}", member.name)
    try:
        return read_member(archive, member).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(archive, f"can't be read as UTF-8 ({error})", f"member {member.name}") from error
