"""World prediction in miniature: which of four clips leads from the first picture to the last (paper, section 4.3).

Three groups of items. Only in the second do pixels not tell:

* `same scene`: the same cut-out before the same photograph, moving in four ways; one of them is the clip whose first
  and last frames are given.
* `another scene`: the four candidates show another object in another place, as the benchmark's action equivalents do
  (WorldPrediction, arXiv 2506.04363), so that no pixel of the pictures is in any of them.
* `robot`: clips of a robot arm that nobody trained on; the three wrong ones are among the NEAREST whose first frames
  look most like its own, by their pixels. The right one is the recording whose pictures are asked, so pixels do tell.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.items import Change, Media, Transition, Transitions
from vljepa_edge.training.figures.captioned import read_captioned
from vljepa_edge.training.reproduction.held_out import HeldOut, another, paste
from vljepa_edge.training.tiny.lossless import write_clip
from vljepa_edge.training.tiny.scenes import FPS, FRAMES, SIZE, Item, Painter, motion_path
from vljepa_edge.video.stretch import FramePlan, duration_of, read_frames

MOTIONS = ("left", "right", "up", "down", "grow", "shrink", "still", "appear", "vanish")
"""Of the eleven those that the first and the last frame tell apart: a spin may end as it began, and a bounce is a small
step between them."""
CANDIDATES, NEAREST = 4, 8
SAME, OTHER, ROBOT = "same scene", "another scene", "robot"
_SIZES, _OFF_CENTRE = (80.0, 125.0), 30.0  # px
_THUMBNAIL = FramePlan(1, 16, 9, "stretch")
_LAST = 0.15  # seconds before a recording's end from which its last frame is taken


def motion_clip(painter: Painter, name: str, motion: str, place: str) -> NDArray[np.uint8]:
    """A clip (8, 224, 224, 3). Clips of one `place` differ in their motion alone: not in the background, nor in the
    object's picture, size and resting place."""
    rng = random.Random(place)
    background, sprite = painter.background(rng, SIZE), painter.sprite(name, rng.uniform(*_SIZES), rng)
    x, y = (SIZE / 2 + rng.uniform(-_OFF_CENTRE, _OFF_CENTRE) for _ in range(2))
    return paste(background, [Item(sprite, x, y, motion_path(motion, random.Random(f"{place}/{motion}")))])


def drawn_transitions(folder: Path, held: HeldOut, count: int, seed: int) -> Transitions:
    """`count` items of SAME and as many of OTHER, every motion equally often; their clips are written to `folder`."""
    rng = random.Random(f"transitions/{seed}")
    items = []
    for number in range(count):
        name, motion = rng.choice(held.names), MOTIONS[number % len(MOTIONS)]
        motions = [motion, *rng.sample([one for one in MOTIONS if one != motion], CANDIDATES - 1)]
        rng.shuffle(motions)
        shown = {SAME: name, OTHER: another(held.names, name, rng)}
        clips = {
            group: [
                Media(
                    write_clip(
                        folder / f"{seed}-{number}-{group[0]}-{one}.mkv",
                        motion_clip(held.painter, shown[group], one, f"{seed}/{number}/{group}"),
                    )
                )
                for one in motions
            ]
            for group in (SAME, OTHER)
        }
        right = motions.index(motion)
        seen = clips[SAME][right]
        change = Change(seen, Media(seen.path, (FRAMES - 1) / FPS))
        items += [Transition(change, tuple(own), right, group) for group, own in clips.items()]
    return Transitions(tuple(items))


def robot_transitions(table: Path, seed: int) -> Transitions:
    """An item for each clip of a table with path and caption. Raises DataError for a table that can't be used, or of
    fewer than CANDIDATES tasks, VideoError."""
    clips = read_captioned(table)
    rng = random.Random(f"robots/{seed}")
    said = [frozenset(clips.of_item(place)) for place in range(len(clips.items))]
    first = np.stack([read_frames(path, _THUMBNAIL)[0].astype(np.float64).ravel() for path in clips.items])
    items = []
    for place, path in enumerate(clips.items):
        far = np.square(first - first[place]).sum(1)
        wrong = [int(other) for other in np.argsort(far, kind="stable") if not said[other] & said[place]]
        own = [place, *rng.sample(wrong[:NEAREST], min(CANDIDATES - 1, len(wrong)))]
        rng.shuffle(own)
        last = Media(path, max(0.0, duration_of(path) - _LAST))
        candidates = tuple(Media(clips.items[one]) for one in own)
        items.append(Transition(Change(Media(path), last), candidates, own.index(place), ROBOT))
    return Transitions(tuple(items))


def together(parts: Sequence[Transitions]) -> Transitions:
    """The items of all parts."""
    return Transitions(tuple(item for part in parts for item in part.items))
