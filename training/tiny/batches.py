"""Batches of clips with a text each: captions, questions, single frames, and the augmentations of cached features."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.checkpoint import restore_random
from vljepa_edge.training.tiny.features import Clips
from vljepa_edge.training.tiny.recipe import StageRecipe
from vljepa_edge.training.tiny.renaming import Concepts
from vljepa_edge.training.tiny.texts import QueryBank, SentenceBank

_QUESTION_WEIGHTS = {"exists": 0.34, "count": 0.24, "direction": 0.06, "object": 0.12, "doing": 0.04, "moves": 0.2}
_COUNTED_PAIRS = 0.1
"""Of questions how many: about two different things. The rest ask for one, two and three alike, each equally often."""
_OBJECT_CAPTION_SHARE = 0.2
_GRID_NOISE = 0.3
_FILLED_SHARE = 0.35
"""Of renamed clips: the word's concept in every region."""
_FLIPPED_WINDOWS = [0, *(1 + 3 * row + column for row in range(3) for column in (2, 1, 0))]
MIRRORED = {"left": "right", "right": "left", "left_while": "right_while", "right_while": "left_while"}
_YES_NO = ("Yes.", "No.")


@dataclass
class Batch:
    """appearance (B, 8, 10, 640), luma (B, 8, 56, 56), query (B, L, 384) with its mask or None, B texts, target
    (B, 384) their frozen sentence embeddings, keys (B,) of what they say, also (B, R) keys of what is right for the
    clips too, hard (B, K, 384) and hard_mask (B, K)."""

    appearance: Tensor
    luma: Tensor
    query: Tensor | None
    query_mask: Tensor | None
    texts: list[str]
    target: Tensor
    keys: Tensor
    also: Tensor
    hard: Tensor
    hard_mask: Tensor


@dataclass
class _Item:
    """One row before its text is looked up. `key`: what the text says: a scene, the name of an object, or an answer."""

    scene: Scene
    text: str
    query: str
    key: Scene | str
    hard: list[str]


class Sampler:
    """Draws batches from cached clips; all randomness from one seed."""

    def __init__(
        self, clips: Clips, photos: Clips | None, stage: StageRecipe, concepts: Concepts, sentences: SentenceBank,
        queries: QueryBank, names: list[str], seed: int,
    ) -> None:  # fmt: skip
        self.clips, self.photos, self.stage, self.concepts = clips, photos, stage, concepts
        self.sentences, self.queries, self.names = sentences, queries, names
        self.rng, self.py = np.random.default_rng(seed), random.Random(seed)
        self._order: list[int] = []
        scenes = clips.scenes
        self._directed = [i for i, s in enumerate(scenes) if s.motion in say.DIRECTIONS]
        self._single = [i for i, s in enumerate(scenes) if s.motion in say.ONE and s.count == 1]
        self._pairs = [i for i, s in enumerate(scenes) if s.second is not None and _countable(s)]
        alike = [
            [i for i, s in enumerate(scenes) if s.second is None and s.count == n and _countable(s)]
            for n in range(1, say.MAX_COUNT + 1)
        ]
        self._alike = [clips for clips in alike if clips]  # by count, of those that any clip shows

    def batch(self) -> Batch:
        size = self.stage.batch
        kinds = [self._kind() for _ in range(size)]
        rows = [self._row_for(kind) for kind in kinds]
        appearance = torch.from_numpy(self.clips.appearance[rows]).float()
        luma = torch.from_numpy(self.clips.luma[rows])
        items = [
            self._item(kind, i, self.clips.scenes[row], appearance, luma)
            for i, (kind, row) in enumerate(zip(kinds, rows, strict=True))
        ]
        if self.photos is not None:
            for i in np.flatnonzero(self.rng.random(size) < self.stage.photo_share):
                items[i] = self._photo(int(i), appearance, luma)
        self._disturb(appearance)
        return self._texts(items, appearance, self._light(luma))

    def draws(self) -> object:
        """The state of all randomness, for JSON: what `resume` takes."""
        return {"numpy": self.rng.bit_generator.state, "python": self.py.getstate(), "order": self._order}

    def resume(self, draws: Any) -> None:
        """Go on as the sampler would have whose `draws()` these are."""
        restore_random(self.py, draws["python"])
        self.rng.bit_generator.state, self._order = draws["numpy"], draws["order"]

    def _kind(self) -> str:
        if self.py.random() >= self.stage.question_share:
            return "caption"
        return self.py.choices(list(_QUESTION_WEIGHTS), list(_QUESTION_WEIGHTS.values()))[0]

    def _row_for(self, kind: str) -> int:
        if kind == "direction" and self._directed:
            return self.py.choice(self._directed)
        if kind == "count" and (self._alike or self._pairs):
            if self._pairs and (not self._alike or self.py.random() < _COUNTED_PAIRS):
                return self.py.choice(self._pairs)
            return self.py.choice(self._alike[self.py.randrange(len(self._alike))])
        if kind in ("object", "doing", "moves") and self._single:
            return self.py.choice(self._single)
        if not self._order:  # pairs of clips of one object, so that a batch holds the same thing doing different things
            by_name = sorted(self.rng.permutation(len(self.clips)).tolist(), key=lambda i: self.clips.scenes[i].name)
            pairs = [by_name[i : i + 2] for i in range(0, len(by_name), 2)]
            self._order = [i for p in self.rng.permutation(len(pairs)) for i in pairs[p]]
        return self._order.pop()

    def _item(self, kind: str, i: int, scene: Scene, appearance: Tensor, luma: Tensor) -> _Item:
        """Augment row i in place and choose its text."""
        if self.py.random() < 0.5 and kind != "direction":
            appearance[i], luma[i], scene = appearance[i].flip(0), luma[i].flip(0), scene.backwards()
        if self.py.random() < 0.3:
            appearance[i], luma[i] = appearance[i][:, _FLIPPED_WINDOWS], luma[i].flip(-1)
            scene = Scene(MIRRORED.get(scene.motion, scene.motion), scene.name, scene.second, scene.count)
        if self.py.random() < self.stage.image_share and kind not in ("direction", "moves", "doing"):
            # one frame duplicated: the last one where something appears, the first where it vanishes, else any
            t = {"appear": -1, "vanish": 0}.get(scene.motion, self.py.randrange(appearance.shape[1]))
            appearance[i], luma[i], scene = appearance[i, t].clone(), luma[i, t].clone(), scene.at_rest()
        renamed = scene.second is None and scene.count == 1 and self.py.random() < self.stage.rename_share
        if renamed:
            scene = self._rename(i, scene, appearance)
        return self._say(kind, scene, renamed)

    def _rename(self, i: int, scene: Scene, appearance: Tensor) -> Scene:
        """Give the object another word's concept, where its own shows most (or everywhere, as in a photograph that one
        thing fills), and hide its looks."""
        word, vector = self.concepts.draw(self.rng)
        concept = appearance[i, :, :, GRID_WIDTH:]
        shares = torch.zeros(concept.shape[1], 1)
        if self.py.random() < _FILLED_SHARE:
            shares += torch.from_numpy(self.rng.uniform(0.3, 1.0, shares.shape))
        else:
            share = float(self.rng.uniform(0.5, 1.0))
            strongest = concept.norm(dim=-1).mean(0)[1:].topk(int(self.rng.integers(1, 5))).indices + 1
            shares[strongest], shares[0] = share, 0.5 * share
        concept.lerp_(vector, shares)
        appearance[i, :, :, :GRID_WIDTH] = 0
        return Scene(scene.motion, self.concepts.names[word])

    def _say(self, kind: str, scene: Scene, renamed: bool) -> _Item:
        if kind != "caption":
            asked = self._ask(kind, scene, renamed)
            if asked is not None:
                return asked
        query = self.py.choice(say.CAPTION_QUERIES) if self.stage.question_share and self.py.random() < 0.8 else ""
        if self.py.random() < _OBJECT_CAPTION_SHARE and scene.second is None and scene.count == 1 and not query:
            return _Item(scene, self.py.choice(say.object_captions(scene.name)), query, scene.name, [])
        texts = wordings(scene, renamed)
        wrong = [self.py.choice(wordings(other, renamed)) for other in self._wrong_scenes(scene, renamed)]
        return _Item(scene, self.py.choice(texts), query, scene, wrong)

    def _ask(self, kind: str, scene: Scene, renamed: bool) -> _Item | None:
        """A question with its answer, None where the kind does not apply. A wrong object is a word of the kind of the
        right one: what is asked for must not give the answer away."""
        asked = say.question(scene, kind, self.py, self.concepts.names if renamed else self.names)
        if asked is None:
            return None
        key = scene.name if asked.kind == "object" else asked.answer
        return _Item(scene, asked.answer, asked.text, key, self._wrong_answers(asked, scene))

    def _wrong_answers(self, asked: say.Question, scene: Scene) -> list[str]:
        others = [n for n in self.py.sample(self.names, 8) if n != scene.name]
        pools = {"exists": _YES_NO, "moves": _YES_NO, "count": [say.sentence(c) for c in say.COUNTS],
                 "direction": [say.sentence(d) for d in say.DIRECTIONS], "doing": [say.doing(m) for m in say.ONE],
                 "object": [say.object_captions(n)[0] for n in others]}  # fmt: skip
        return [text for text in pools[asked.kind] if text != asked.answer]

    def _wrong_scenes(self, scene: Scene, renamed: bool) -> list[Scene]:
        """The same objects doing anything else, the same motion of other objects, another number of them."""
        counted = scene.motion in say.COUNTED_MOTIONS and scene.second is None
        motions = say.TWO if scene.second is not None else say.ONE if scene.count == 1 else say.COUNTED_MOTIONS
        wrong = [Scene(m, scene.name, scene.second, scene.count) for m in motions if m != scene.motion]
        if scene.second is None and not renamed:
            wrong += [
                Scene(scene.motion, n, None, scene.count) for n in self.py.sample(self.names, 3) if n != scene.name
            ]
            wrong += [
                Scene(scene.motion, scene.name, None, n)
                for n in range(1, say.MAX_COUNT + 1)
                if counted and n != scene.count
            ]
        return wrong[: self.stage.hard_negatives]

    def _photo(self, i: int, appearance: Tensor, luma: Tensor) -> _Item:
        assert self.photos is not None
        row = int(self.rng.integers(len(self.photos)))
        appearance[i], luma[i] = (
            torch.from_numpy(self.photos.appearance[row]).float(),
            torch.from_numpy(self.photos.luma[row]),
        )
        scene = self.photos.scenes[row]
        query = self.py.choice(say.OBJECT_QUERIES) if self.stage.question_share and self.py.random() < 0.5 else ""
        return _Item(scene, self.py.choice(say.object_captions(scene.name)), query, scene.name, [])

    def _disturb(self, appearance: Tensor) -> None:
        hidden = torch.from_numpy(self.rng.random(len(appearance)) < self.stage.hide_grid_share)
        grid = appearance[..., :GRID_WIDTH]
        grid[hidden] = 0
        generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        grid += _GRID_NOISE * torch.randn((len(grid), 1, 1, GRID_WIDTH), generator=generator)

    def _light(self, luma: Tensor) -> Tensor:
        """Brightness to 0..1 with random contrast and level, the same for all frames of a clip."""
        size = (len(luma), 1, 1, 1)
        gain = torch.from_numpy(self.rng.uniform(0.7, 1.3, size)).float()
        level = torch.from_numpy(self.rng.uniform(-0.1, 0.1, size)).float()
        return luma.float() / 255.0 * gain + level

    def _texts(self, items: list[_Item], appearance: Tensor, luma: Tensor) -> Batch:
        widest = max(1, max(len(item.hard) for item in items))
        self.sentences.add((text for item in items for text in (item.text, *item.hard)), keep=False)
        hard_ids = torch.tensor([self.sentences.ids(item.hard) + [0] * (widest - len(item.hard)) for item in items])
        hard_mask = torch.tensor([[k < len(item.hard) for k in range(widest)] for item in items])
        asked = any(item.query for item in items)
        query, mask = self.queries.batch([item.query for item in items]) if asked else (None, None)
        texts = [item.text for item in items]
        return Batch(appearance, luma, query, mask, texts, self.sentences(texts), *text_keys(items),
                     self.sentences.vectors[hard_ids].float(), hard_mask)  # fmt: skip


def wordings(scene: Scene, renamed: bool = False) -> list[str]:
    """The captions that a scene is trained with. Fewer for pairs and renamed objects, of which there are many: each
    text is embedded beforehand."""
    if renamed or scene.second is not None:
        return [say.caption(scene)]
    return say.captions(scene)


def all_wordings(clips: Clips, concepts: Concepts, names: list[str]) -> set[str]:
    """Every caption that a sampler over these clips may draw as target or hard negative, questions' answers aside."""
    found: set[str] = set()
    for name in names:
        found.update(say.object_captions(name))
        for motion in say.ONE:
            for count in range(1, say.MAX_COUNT + 1) if motion in say.COUNTED_MOTIONS else (1,):
                found.update(wordings(Scene(motion, name, None, count)))
    for first, second in {(s.name, s.second) for s in clips.scenes if s.second is not None}:
        found.update(text for motion in say.TWO for text in wordings(Scene(motion, first, second)))
    for name in concepts.names:
        found.update(say.object_captions(name))
        found.update(text for motion in say.ONE for text in wordings(Scene(motion, name), renamed=True))
    return found


def text_keys(items: list[_Item]) -> tuple[Tensor, Tensor]:
    """keys (B,): equal where texts say the same. also (B, R): what is right for each clip too, padded with its own key:
    a text about an object alone is right wherever the object is."""
    known: dict[object, int] = {}
    keys = [known.setdefault(canonical(item.key), len(known)) for item in items]
    shown = [item.scene.names() if item.scene.count == 1 else () for item in items]
    also = [[known.get(name, key) for name in names] for key, names in zip(keys, shown, strict=True)]
    widest = max(map(len, also))
    padded = [[*more, *[key] * (widest - len(more))] for key, more in zip(keys, also, strict=True)]
    return torch.tensor(keys), torch.tensor(padded, dtype=torch.int64).reshape(len(keys), widest)


def canonical(key: Scene | str) -> object:
    """What a caption means: of two things that do the same to each other it doesn't matter which is named first."""
    if isinstance(key, str) or key.motion not in say.SYMMETRIC:
        return key
    return (key.motion, frozenset(key.names()))


def _countable(scene: Scene) -> bool:
    return scene.motion not in ("appear", "vanish", "swap", "approach")


def luma_to_float(luma: NDArray[np.uint8]) -> Tensor:
    """uint8 brightness -> 0..1."""
    return torch.from_numpy(luma).float() / 255.0
