"""A drawn clip as one step sees it: backwards, mirrored, as a still, with another object's concept, and what is said
about it then. It changes cached features; the pictures themselves are drawn once.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.renaming import Concepts

Features = Mapping[str, NDArray[Any]]

MIRRORED = {"left": "right", "right": "left", "left_while": "right_while", "right_while": "left_while"}
_FLIPPED_WINDOWS = [0, *(1 + 3 * row + column for row in range(3) for column in (2, 1, 0))]
_OBJECT_CAPTION_SHARE = 0.2
_ASKED_SHARE = 0.8
"""Of captions: with a query that asks for one. The rest have none."""
_FILLED_SHARE = 0.35
"""Of renamed clips: the word's concept in every region."""
_YES_NO = ("Yes.", "No.")


@dataclass(frozen=True)
class Variation:
    """names: of objects. concepts: of words that an object is renamed to, in `rename` of the clips of one object; the
    share `stills` is shown as one frame repeated, and the share `hide` without its looks (the grid part of the
    appearance), so that its concepts have to say what it is."""

    names: Sequence[str]
    concepts: Concepts | None = None
    rename: float = 0.0
    stills: float = 0.0
    hide: float = 0.0

    def __call__(
        self, sample: Sample, scene: Scene, kind: str, features: Features, draw: int
    ) -> tuple[Sample, Features]:
        """A sample of a scene and its features, as one step sees them. kind: caption, or of question."""
        rng = random.Random(draw)
        appearance, luma = features["appearance"], features["luma"]
        if rng.random() < 0.5 and kind != "direction":
            appearance, luma, scene = appearance[::-1], luma[::-1], scene.backwards()
        if rng.random() < 0.3:
            appearance, luma = appearance[:, _FLIPPED_WINDOWS], luma[..., ::-1]
            scene = Scene(MIRRORED.get(scene.motion, scene.motion), scene.name, scene.second, scene.count)
        if rng.random() < self.stills and kind not in ("direction", "moves", "doing"):
            # one frame repeated: the last one where something appears, the first where it vanishes, else any
            t = {"appear": len(luma) - 1, "vanish": 0}.get(scene.motion, rng.randrange(len(luma)))
            frames = np.full(len(luma), t)
            appearance, luma, scene = appearance[frames], luma[frames], scene.at_rest()
        renamed = scene.second is None and scene.count == 1 and rng.random() < self.rename
        if renamed:
            scene, appearance = self._renamed(scene, appearance, draw)
        if rng.random() < self.hide:
            appearance = np.concatenate([np.zeros_like(appearance[..., :GRID_WIDTH]), appearance[..., GRID_WIDTH:]], -1)
        varied = dict(features) | {"appearance": np.ascontiguousarray(appearance), "luma": np.ascontiguousarray(luma)}
        return said(sample, scene, kind, rng, self._words if renamed else self.names, renamed), varied

    @property
    def _words(self) -> Sequence[str]:
        return self.names if self.concepts is None else self.concepts.names

    def _renamed(self, scene: Scene, appearance: NDArray[Any], draw: int) -> tuple[Scene, NDArray[Any]]:
        """Give the object another word's concept, where its own shows most (or everywhere, as in a photograph that one
        thing fills), and hide its looks."""
        assert self.concepts is not None  # else none is renamed
        rng = np.random.default_rng([draw, 1])
        word, vector = self.concepts.draw(rng)
        changed = np.zeros_like(appearance)  # without looks
        concept = appearance[..., GRID_WIDTH:].astype(np.float32)
        shares = np.zeros((concept.shape[1], 1), np.float32)
        if rng.random() < _FILLED_SHARE:
            shares += rng.uniform(0.3, 1.0, shares.shape).astype(np.float32)
        else:
            share = float(rng.uniform(0.5, 1.0))
            strength = np.linalg.norm(concept, axis=-1).mean(0)[1:]
            strongest = 1 + np.argsort(strength)[::-1][: int(rng.integers(1, 5))]
            shares[strongest], shares[0] = share, 0.5 * share
        changed[..., GRID_WIDTH:] = concept + shares * (vector.numpy() - concept)
        return Scene(scene.motion, self.concepts.names[word]), changed


def said(
    sample: Sample, scene: Scene, kind: str, rng: random.Random, names: Sequence[str], renamed: bool = False
) -> Sample:
    """The sample with what is said about a scene: a caption, or a question of a kind where that applies.

    names: of objects that wrong ones are taken from. renamed: to a word that is no drawn object. A caption of the
    objects alone is right wherever they are: its key is among `also` of every clip that shows them.
    """
    asked = None if kind == "caption" else say.question(scene, kind, rng, list(names))
    if asked is not None:
        key = scene.name if asked.kind == "object" else asked.answer
        wrong = _wrong_answers(asked, scene, rng, names)
        return _with(sample, scene, asked.answer, asked.text, key, wrong)
    query = rng.choice(CAPTION_QUERIES) if rng.random() < _ASKED_SHARE else ""
    if rng.random() < _OBJECT_CAPTION_SHARE and scene.second is None and scene.count == 1:
        return _with(sample, scene, rng.choice(say.object_captions(scene.name)), query, scene.name, [])
    wrong = [rng.choice(wordings(other, renamed)) for other in _wrong_scenes(scene, rng, names, renamed)]
    return _with(sample, scene, rng.choice(wordings(scene, renamed)), query, scene, wrong)


def _with(sample: Sample, scene: Scene, target: str, query: str, key: Scene | str, wrong: Sequence[str]) -> Sample:
    also = scene.names() if scene.count == 1 else ()
    return Sample(
        sample.key, sample.media, target, query, sample.start, sample.end, canonical(key), also, tuple(wrong)
    )


def _wrong_answers(asked: say.Question, scene: Scene, rng: random.Random, names: Sequence[str]) -> list[str]:
    """Of the kind of the right one: what is asked for must not give the answer away."""
    others = [name for name in rng.sample(names, min(8, len(names))) if name != scene.name]
    pools = {"exists": _YES_NO, "moves": _YES_NO, "count": [say.sentence(c) for c in say.COUNTS],
             "direction": [say.sentence(d) for d in say.DIRECTIONS], "doing": [say.doing(m) for m in say.ONE],
             "object": [say.object_captions(name)[0] for name in others]}  # fmt: skip
    return [text for text in pools[asked.kind] if text != asked.answer]


def _wrong_scenes(scene: Scene, rng: random.Random, names: Sequence[str], renamed: bool) -> list[Scene]:
    """The same objects doing anything else, the same motion of other objects, another number of them."""
    counted = scene.motion in say.COUNTED_MOTIONS and scene.second is None
    motions = say.TWO if scene.second is not None else say.ONE if scene.count == 1 else say.COUNTED_MOTIONS
    wrong = [Scene(m, scene.name, scene.second, scene.count) for m in motions if m != scene.motion]
    if scene.second is None and not renamed:
        others = [name for name in rng.sample(names, min(3, len(names))) if name != scene.name]
        wrong += [Scene(scene.motion, name, None, scene.count) for name in others]
        numbers = range(1, say.MAX_COUNT + 1) if counted else ()
        wrong += [Scene(scene.motion, scene.name, None, n) for n in numbers if n != scene.count]
    return wrong


def wordings(scene: Scene, renamed: bool = False) -> list[str]:
    """The captions that a scene is trained with. Fewer for pairs and renamed objects, of which there are many."""
    return [say.caption(scene)] if renamed or scene.second is not None else say.captions(scene)


def canonical(key: Scene | str) -> str:
    """What a text means, as a text key: of two things that do the same to each other it doesn't matter which is named
    first."""
    if isinstance(key, str):
        return key
    names = sorted(key.names()) if key.motion in say.SYMMETRIC else list(key.names())
    return f"{key.count} {' and '.join(names)}: {key.motion}"
