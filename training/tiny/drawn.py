"""Drawn clips as a source of the general trainer: cut-outs that move over photographs, with captions or questions.

In a run's file: `{kind: "vljepa_edge.training.tiny.drawn:DrawnClips", count: 4000}`. Nothing is stored: a clip is drawn
each time it is asked for, the same one for its number, so a stage with `cache: true` draws it once.
"""

from __future__ import annotations

import random
from functools import cached_property
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import FramePlan, Sample
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.batches import canonical, wordings
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.scenes import FRAMES, Painter, random_scene
from vljepa_edge.video.preprocess import ResizeMode, resize

_SECONDS = FRAMES / 4.0
_NEGATIVES = 4


class DrawnClips:
    """Clips of 8 frames at 4 frames a second, of objects that the default is trained on, or of those held out.

    questions: ask about each clip, with the answer as target; else its caption. The first use fetches the pinned
    packages of pictures. Raises InputError for a count below 1.
    """

    def __init__(self, count: int, seed: int = 0, held: bool = False, questions: bool = False) -> None:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"count must be an integer of at least 1, got {count!r}")
        self.name = f"{count} drawn clips"
        self.left_out: dict[str, int] = {}
        self._count, self._seed, self._held, self._questions = count, seed, held, questions

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(f"no clip {index} of {self._count}")
        key = f"{self._seed}/{index}"
        scene, rng = self._scene(key), random.Random(f"{key}/said")
        media = f"drawn:{'held' if self._held else 'seen'}/{key}"
        if self._questions:
            asked = None
            while asked is None:
                asked = say.question(scene, rng.choice(("caption", *say.QUESTION_KINDS)), rng, self._names)
            text_key = repr(canonical(scene)) if asked.kind == "caption" else asked.answer
            return Sample(key, media, asked.answer, asked.text, 0.0, _SECONDS, text_key)
        wrong = [m for m in (say.ONE if scene.second is None else say.TWO) if m != scene.motion]
        others = [Scene(motion, scene.name, scene.second) for motion in rng.sample(wrong, min(_NEGATIVES, len(wrong)))]
        negatives = tuple(rng.choice(wordings(other)) for other in others) if scene.count == 1 else ()
        return Sample(
            key, media, rng.choice(wordings(scene)), "", 0.0, _SECONDS, repr(canonical(scene)), negatives=negatives
        )

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """The clip's frames, evenly; with a rate the last ones: a clip is only so long. where has no part in it."""
        drawn = self._painter.draw(self._scene(sample.key), random.Random(f"{sample.key}/drawn"))
        if plan.rate is None:
            taken = [(i + 0.5) * FRAMES / plan.count for i in range(plan.count)]
        else:
            taken = [FRAMES - 0.5 - 4.0 / plan.rate * i for i in reversed(range(plan.count))]
        chosen = drawn[np.clip(np.array(taken).astype(int), 0, FRAMES - 1)]
        mode: ResizeMode = "stretch" if plan.resize == "stretch" else "cover"
        return np.stack([resize(frame, plan.width, plan.height, mode) for frame in chosen])

    def open(self, sample: Sample) -> BinaryIO:
        """Raises VideoError: there is no file."""
        raise VideoError(sample.media, "is drawn; there is no file of it")

    def duration(self, sample: Sample) -> float:
        """Seconds of each clip."""
        return _SECONDS

    def _scene(self, key: str) -> Scene:
        return random_scene(random.Random(f"{key}/scene"), self._names, pairs=0.2, groups=0.2)

    @cached_property
    def _names(self) -> list[str]:
        cutouts = load_cutouts(assets.stamps_dir())
        apart = held_out(cutouts)
        return sorted(name for name in cutouts if (name in apart) == self._held)

    @cached_property
    def _painter(self) -> Painter:
        cutouts = load_cutouts(assets.stamps_dir())
        return Painter(cutouts, load_backgrounds(assets.background_dirs(), test=self._held), moving=0.25)

    def __getstate__(self) -> dict[str, object]:
        """Pictures are loaded again where they are needed, rather than sent to each worker."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_names", "_painter")}
