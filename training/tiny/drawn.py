"""Drawn clips as a source of the general trainer: cut-outs that move over photographs, with captions or questions.

In a run's file: `{kind: "vljepa_edge.training.tiny.drawn:DrawnClips", count: 4000}`. Nothing is stored: a clip is drawn
each time it is asked for, the same one for its number, so a stage with `cache: true` draws it once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.tiny import assets
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts
from vljepa_edge.training.tiny.renaming import Concepts
from vljepa_edge.training.tiny.scenes import FPS, FRAMES, Painter, random_scene
from vljepa_edge.training.tiny.variation import Variation, said
from vljepa_edge.video.preprocess import ResizeMode, resize
from vljepa_edge.video.stretch import FramePlan

PAIRS, GROUPS, MOVING = 0.2, 0.2, 0.25
"""Shares of clips that show two different objects, two or three of a kind, and a camera that moves."""
_SECONDS = FRAMES / FPS
_QUESTIONS = {"exists": 0.34, "count": 0.24, "direction": 0.06, "object": 0.12, "doing": 0.04, "moves": 0.2}
_COUNTED_PAIRS = 0.1
"""Of questions how many: about two different things. The rest ask for one, two and three alike, each equally often."""


class DrawnClips:
    """Clips of 8 frames at 4 frames a second, of objects that the default is trained on, or of those held out.

    questions: ask about clips, with the answer as target; else a clip's caption. In a stage that varies cached features
    each step has a clip backwards or mirrored half the time, in the share `stills` as one frame repeated, in the share
    `rename` with another word's concept (concepts: the file that names them), and in the share `hide` with its concepts
    alone. The first use fetches the pinned
    packages of pictures. Raises InputError for a count below 1, or renaming without concepts.
    """

    def __init__(
        self, count: int, seed: int = 1, held: bool = False, questions: bool = False, stills: float = 0.0,
        rename: float = 0.0, hide: float = 0.0, concepts: str | None = None,
    ) -> None:  # fmt: skip
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise InputError(f"count must be an integer of at least 1, got {count!r}")
        for name, share in (("stills", stills), ("rename", rename), ("hide", hide)):
            if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share <= 1:
                raise InputError(f"{name} must be a share from 0 to 1, got {share!r}")
        if rename and concepts is None:
            raise InputError("concepts must name a file where objects are renamed, got none")
        self.name = f"{count} drawn clips"
        self.left_out: dict[str, int] = {}
        self._count, self._seed, self._held, self._questions = count, seed, held, questions
        self._shares, self._concepts = {"rename": rename, "stills": stills, "hide": hide}, concepts

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        """The clip of a number, or where there are questions one that its kind of question can be asked about."""
        if not 0 <= index < self._count:
            raise IndexError(f"no clip {index} of {self._count}")
        rng, kind = random.Random(f"{self._seed}/{index}/asked"), "caption"
        row = index
        if self._questions:
            kind = rng.choices(list(_QUESTIONS), list(_QUESTIONS.values()))[0]
            row = self._fitting(kind, rng, index)
        scene = self.scenes[row]
        media = f"{'held' if self._held else 'train'}/{self._seed}/{row}/{scene}"
        plain = Sample(f"{index} {row} {kind}", media, "")
        return said(plain, scene, kind, rng, self._names)

    def varied(
        self, sample: Sample, features: Mapping[str, NDArray[Any]], draw: int
    ) -> tuple[Sample, Mapping[str, NDArray[Any]]]:
        """The clip as one step sees it. draw: 64 random bits."""
        row, kind = self._place(sample)
        return self._variation(sample, self.scenes[row], kind, features, draw)

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        """The clip's frames, evenly; with a rate the last ones: a clip is only so long. where has no part in it."""
        row, _ = self._place(sample)
        drawn = self._painter.draw(self.scenes[row], random.Random(f"{self._seed}/{row}"))
        if plan.rate is None:
            taken = [(i + 0.5) * FRAMES / plan.count for i in range(plan.count)]
        else:
            taken = [FRAMES - 0.5 - FPS / plan.rate * i for i in reversed(range(plan.count))]
        chosen = drawn[np.clip(np.array(taken).astype(int), 0, FRAMES - 1)]
        mode: ResizeMode = "stretch" if plan.resize == "stretch" else "cover"
        return np.stack([resize(frame, plan.width, plan.height, mode) for frame in chosen])

    def open(self, sample: Sample) -> BinaryIO:
        """Raises VideoError: there is no file."""
        raise VideoError(sample.media, "is drawn; there is no file of it")

    def duration(self, sample: Sample) -> float:
        """Seconds of each clip."""
        return _SECONDS

    def _place(self, sample: Sample) -> tuple[int, str]:
        """Which clip a sample is of, and the kind of what is said."""
        _, row, kind = sample.key.split()
        return int(row), kind

    def _fitting(self, kind: str, rng: random.Random, index: int) -> int:
        """A clip that a question of a kind can be asked about."""
        rows = self._rows
        if kind == "direction" and rows["directed"]:
            return rng.choice(rows["directed"])
        if kind == "count":
            alike = [own for own in (rows[f"{n} alike"] for n in range(1, say.MAX_COUNT + 1)) if own]
            if rows["pairs"] and (not alike or rng.random() < _COUNTED_PAIRS):
                return rng.choice(rows["pairs"])
            return rng.choice(rng.choice(alike)) if alike else index
        return rng.choice(rows["single"]) if kind != "exists" and rows["single"] else index

    @cached_property
    def scenes(self) -> list[Scene]:
        """What each clip shows."""
        rng = random.Random(self._seed)
        return [random_scene(rng, self._names, pairs=PAIRS, groups=GROUPS) for _ in range(self._count)]

    @cached_property
    def _rows(self) -> dict[str, list[int]]:
        """Clips by what can be asked about them."""
        scenes = list(enumerate(self.scenes))
        countable = [(i, s) for i, s in scenes if s.motion not in ("appear", "vanish", "swap", "approach")]
        return {
            "directed": [i for i, s in scenes if s.motion in say.DIRECTIONS],
            "single": [i for i, s in scenes if s.motion in say.ONE and s.count == 1],
            "pairs": [i for i, s in countable if s.second is not None],
            **{
                f"{n} alike": [i for i, s in countable if s.second is None and s.count == n]
                for n in range(1, say.MAX_COUNT + 1)
            },
        }

    @cached_property
    def _variation(self) -> Variation:
        concepts = None if self._concepts is None else Concepts.load(self._concepts)
        return Variation(self._names, concepts, **self._shares)

    @cached_property
    def _names(self) -> list[str]:
        cutouts = load_cutouts(assets.stamps_dir())
        apart = held_out(cutouts)
        return [name for name in cutouts if (name in apart) == self._held]

    @cached_property
    def _painter(self) -> Painter:
        cutouts = load_cutouts(assets.stamps_dir())
        return Painter(cutouts, load_backgrounds(assets.background_dirs(), test=self._held), moving=MOVING)

    def __getstate__(self) -> dict[str, object]:
        """Pictures and scenes are made again where they are needed, rather than sent to each worker."""
        made = ("_names", "_painter", "scenes", "_rows", "_variation")
        return {name: value for name, value in self.__dict__.items() if name not in made}
