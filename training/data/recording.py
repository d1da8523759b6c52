"""Of which recording a sample is: two stretches of one look alike, so if one is learned from, the other is no test."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO, cast

from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.shards import Packed, open_member

_CHUNK = 1 << 20
_SHA256 = re.compile("[0-9a-f]{64}")


class Recordings:
    """The recordings of samples by the SHA-256 of their bytes. Each file is read once."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def digest(self, sample: Sample) -> str:
        """Names the recording, the same where its file, or a part of it, lies elsewhere.

        Of a file or a member of an archive it is of its bytes, and of its name where it can't be read, as of a clip
        that is drawn. `sample.video` counts too: of a file that holds several recordings, it says which; of a member,
        it says whose part that is, and may be the SHA-256 itself.
        """
        if isinstance(sample, Packed) and sample.video:
            return sample.video if _SHA256.fullmatch(sample.video) else _of(sample.video)
        if sample.media not in self._known:
            self._known[sample.media] = _of_media(sample)
        media = self._known[sample.media]
        return media if sample.video is None else _of(f"{media} {sample.video}")


def _of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _of_media(sample: Sample) -> str:
    found = hashlib.sha256()
    try:
        with _opened(sample) as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    except (OSError, ValueError):  # no file; or one that can't be read, as will be told when its frames are
        return _of(sample.media)
    return found.hexdigest()


def _opened(sample: Sample) -> BinaryIO:
    return open_member(sample) if isinstance(sample, Packed) else cast(BinaryIO, open(sample.media, "rb"))
