"""Streams of drawn actions that follow a grammar, as a source of the general trainer: a clip, and what comes t seconds
after it (paper, section 4.4).

In a run's file: `{kind: "vljepa_edge.training.reproduction.next_actions:NextActions", streams: 250}`. Every action is a
drawn clip of 2 s, one after the other before one photograph. The clip that is seen ends t seconds before the action
that is asked for begins. So of the horizons 1, 2, 4 and 10 s what is seen last lies 1, 2, 3 and 6 actions before; at
1 s it is half of an action, after half of the one before.
"""

from __future__ import annotations

import random
from functools import cached_property
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.reproduction import grammar
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import MOTIONS, ONE, Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.drawn_items import Place
from vljepa_edge.training.tiny.scenes import FPS, FRAMES, Painter
from vljepa_edge.video.preprocess import resize
from vljepa_edge.video.stretch import FramePlan

HORIZONS = {1: 1, 2: 2, 4: 3, 10: 6}
"""By seconds ahead, how many actions before the one that is asked for is what was seen last."""
_EARLIEST = max(HORIZONS.values())
LENGTH = 12
"""Actions of a stream; all but the first six are asked for."""
TEXTS = tuple(say.caption(Scene(motion, "object", None if motion in ONE else "other object")) for motion in MOTIONS)
"""Of each motion what it is called, whatever moves."""


def query(seconds: int) -> str:
    """What is asked of the predictor."""
    return f"What happens next, in {seconds} second{'s' * (seconds > 1)}?"


class Item(NamedTuple):
    """stream: its number. seconds: the horizon. asked: the number of the action in its stream. seen, right: motions of
    MOTIONS, the last that is seen and the one that is asked for."""

    stream: int
    seconds: int
    asked: int
    seen: int
    right: int


class NextActions:
    """For each action but the first ones of each stream, a sample of each horizon.

    held: streams of objects and photographs that are never trained on. The first use fetches the pinned packages of
    pictures. Raises InputError for fewer streams than 1.
    """

    def __init__(self, streams: int, seed: int = 1, held: bool = False) -> None:
        if isinstance(streams, bool) or not isinstance(streams, int) or streams < 1:
            raise InputError(f"streams must be an integer of at least 1, got {streams!r}")
        self.name = f"{streams} streams of actions"
        self.left_out: dict[str, int] = {}
        self._streams, self._seed, self._held = streams, seed, held

    def __len__(self) -> int:
        return self._streams * (LENGTH - _EARLIEST) * len(HORIZONS)

    def item(self, index: int) -> Item:
        """What a sample is about."""
        if not 0 <= index < len(self):
            raise IndexError(f"no sample {index} in {len(self)}")
        rest, horizon = divmod(index, len(HORIZONS))
        stream, later = divmod(rest, LENGTH - _EARLIEST)
        seconds, asked = list(HORIZONS)[horizon], _EARLIEST + later
        motions = self._motions[stream]
        return Item(stream, seconds, asked, motions[asked - HORIZONS[seconds]], motions[asked])

    def __getitem__(self, index: int) -> Sample:
        item = self.item(index)
        last = item.asked - HORIZONS[item.seconds]
        clip = f"{last - 1}+{last}" if item.seconds == 1 else f"{last}"
        media = f"next/{'held' if self._held else 'train'}/{self._seed}/{item.stream}/{clip}"
        return Sample(f"{index}", media, TEXTS[item.right], query(item.seconds))

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """The clip's frames, evenly; rate and where have no part in it."""
        *_, stream, clip = sample.media.split("/")
        first, _, second = clip.partition("+")
        shown = self._drawn(int(stream), int(first))
        if second:
            shown = np.concatenate([shown[FRAMES // 2 :], self._drawn(int(stream), int(second))[: FRAMES // 2]])
        chosen = shown[((np.arange(plan.count) + 0.5) * FRAMES / plan.count).astype(int)]
        return np.stack([resize(frame, plan.width, plan.height, "cover") for frame in chosen])

    def open(self, sample: Sample) -> BinaryIO:
        """Raises VideoError: there is no file."""
        raise VideoError(sample.media, "is drawn; there is no file of it")

    def duration(self, sample: Sample) -> float:
        """Seconds of each clip."""
        return FRAMES / FPS

    def _drawn(self, stream: int, number: int) -> NDArray[np.uint8]:
        """One action, (8, 224, 224, 3)."""
        rng = random.Random(f"next/{self._seed}/{stream}")
        place, (first, second) = f"{rng.random()}", rng.sample(self._names, 2)
        motion = MOTIONS[self._motions[stream][number]]
        scene = Scene(motion, first, None if motion in ONE else second)
        return Place(self._painter, place).draw(scene, random.Random(f"next/{self._seed}/{stream}/{number}"))

    @cached_property
    def _motions(self) -> list[list[int]]:
        """Of each stream its actions."""
        rng, of = random.Random(f"next/{self._seed}/{self._held}"), grammar.chain()
        return [grammar.walk(of, LENGTH, rng) for _ in range(self._streams)]

    @cached_property
    def _names(self) -> list[str]:
        cutouts = self._painter.cutouts
        apart = held_out(cutouts)
        return [name for name in sorted(cutouts) if (name in apart) == self._held]

    @cached_property
    def _painter(self) -> Painter:
        return Painter(load_cutouts(assets.stamps_dir()), load_backgrounds(assets.background_dirs(), test=self._held))

    def __getstate__(self) -> dict[str, object]:
        """Pictures are made again where they are needed, rather than sent to each worker."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_names", "_painter")}
