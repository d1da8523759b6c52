"""Which clips are learned from, which say when to stop, and which nothing is learned from at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError

LEAST_CLIPS, LEAST_VIDEOS = 10, 3


@dataclass(frozen=True)
class Split:
    """Places in the table, each in one of the three."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    held_out: NDArray[np.int64]


def split(media: Sequence[str], share: float) -> Split:
    """Hold out `share` of the videos with all their clips, and as much of the rest to validate on.

    media: the digest of the recording that each clip is of. The choice depends on these alone: not on the order of the
    table, on names or on a seed, so that figures of two trainings on one table are figures on the same clips. Two
    stretches of one video are never on both sides. Raises InputError for too few clips or videos.
    """
    videos = sorted(set(media))  # in the order of their hashes, which is as good as drawn
    if len(media) < LEAST_CLIPS or len(videos) < LEAST_VIDEOS:
        raise InputError(
            f"fine-tuning needs at least {LEAST_CLIPS} clips of {LEAST_VIDEOS} videos, got {len(media)} of "
            f"{len(videos)}; a video is held out with all its stretches, so that none of them is learned from"
        )
    most = len(videos) - 2
    held_out = min(max(1, round(share * len(videos))), most)
    validation = min(max(1, round(share * (len(videos) - held_out))), most + 1 - held_out)
    part = {video: i for i, video in enumerate(videos)}
    places = np.array([part[video] for video in media])
    return Split(
        train=np.flatnonzero(places >= held_out + validation),
        validation=np.flatnonzero((places >= held_out) & (places < held_out + validation)),
        held_out=np.flatnonzero(places < held_out),
    )
