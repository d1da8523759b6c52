"""The figures of the model card, from embeddings alone: whoever makes them, the same functions judge."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.ranks import first, percent, ranks
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene

CANDIDATES = 32
Array = NDArray[np.float32]
EmbedText = Callable[[Sequence[str]], Array]


def draw_candidates(scenes: Sequence[Scene], names: Sequence[str], seed: int) -> list[list[int]]:
    """For each clip 32 indices into `names`, the right one first."""
    rng = random.Random(seed)
    out = []
    for scene in scenes:
        right = names.index(scene.name)
        others = [i for i in range(len(names)) if i != right]
        out.append([right, *rng.sample(others, min(CANDIDATES - 1, len(others)))])
    return out


def object_accuracy(embeddings: Array, texts: Array, candidates: list[list[int]]) -> float:
    """texts (names, E). Top-1 of the candidates."""
    scores = np.stack([texts[ids] @ z for z, ids in zip(embeddings, candidates, strict=True)])
    return percent(first(scores, np.zeros(len(scores), int)))


def captions_table(names: Sequence[str], embed: EmbedText, paraphrase: int) -> Array:
    """(names, 11, E) of one wording of every object doing every motion."""
    texts = [say.caption(Scene(motion, name), paraphrase) for name in names for motion in say.ONE]
    return embed(texts).reshape(len(names), len(say.ONE), -1)


def motion_accuracy(embeddings: Array, scenes: Sequence[Scene], table: Array, candidates: list[list[int]]) -> float:
    """Top-1 of 11 motions, each scored by its captions of the 32 candidate objects."""
    scores = np.stack([(table[ids] @ z).mean(0) for z, ids in zip(embeddings, candidates, strict=True)])
    return percent(first(scores, [say.ONE.index(scene.motion) for scene in scenes]))


def retrieval(embeddings: Array, scenes: Sequence[Scene], table: Array, names: Sequence[str]) -> dict[str, float]:
    """Rank of the right caption among all captions of the split."""
    scores = embeddings @ table.reshape(-1, table.shape[-1]).T
    right = np.array([names.index(s.name) * len(say.ONE) + say.ONE.index(s.motion) for s in scenes])
    rank = ranks(scores, right)
    return {"R@1": percent(rank < 1), "R@5": percent(rank < 5)}


def judge_captions(
    embeddings: Array, scenes: Sequence[Scene], names: Sequence[str], embed: EmbedText
) -> dict[str, float]:
    """Motion, object, retrieval and unseen wording on one-object clips; embeddings (n, E) under a captioning query."""
    candidates = draw_candidates(scenes, names, seed=0)
    table, unseen = captions_table(names, embed, 0), captions_table(names, embed, say.UNSEEN)
    objects = embed([say.object_captions(name)[1] for name in names])
    found = retrieval(embeddings, scenes, table, names)
    return {
        "motion_top1_of_11": motion_accuracy(embeddings, scenes, table, candidates),
        "motion_unseen_paraphrase": motion_accuracy(embeddings, scenes, unseen, candidates),
        "object_top1_of_32": object_accuracy(embeddings, objects, candidates),
        "retrieval_R@1": found["R@1"],
        "retrieval_R@5": found["R@5"],
        "retrieval_captions": table.shape[0] * table.shape[1],
    }


ANSWERS = {"exists": ("Yes.", "No."), "moves": ("Yes.", "No."),
           "direction": tuple(say.sentence(d) for d in say.DIRECTIONS),
           "count": tuple(say.sentence(c) for c in say.COUNTS)}  # fmt: skip


def draw_questions(scenes: Sequence[Scene], kind: str, names: list[str], seed: int) -> list[tuple[int, say.Question]]:
    """(clip, question) of one kind; counts are balanced by taking as many clips of each as of the rarest."""
    rng = random.Random(seed)
    asked = [(i, q) for i, scene in enumerate(scenes) if (q := say.question(scene, kind, rng, names)) is not None]
    by_answer = {answer: [pair for pair in asked if pair[1].answer == answer] for answer in ANSWERS[kind]}
    least = min(len(pairs) for pairs in by_answer.values())
    return [pair for pairs in by_answer.values() for pair in pairs[:least]]


def judge_answers(questions: list[tuple[int, say.Question]], embeddings: Array, kind: str, embed: EmbedText) -> float:
    """embeddings (len(questions), E) under each question; the nearest of the kind's answers."""
    scores = embeddings @ embed(list(ANSWERS[kind])).T
    return percent(first(scores, [ANSWERS[kind].index(question.answer) for _, question in questions]))


def judge_texts(texts: Sequence[str], scenes: Sequence[Scene]) -> dict[str, float]:
    """Whether decoded texts name the object (as a complete phrase) and the motion (any of its wordings)."""
    motion, name = [], []
    for text, scene in zip(texts, scenes, strict=True):
        low = text.lower()
        name.append(f" {scene.name.lower()} " in f" {low.rstrip('.')} ")
        motion.append(motion_of(low, scene.name) == scene.motion)
    return {"decoded_motion": percent(motion), "decoded_object": percent(name)}


_MARKS = {
    motion: re.compile(rf"\b(?:{words})\b")
    for motion, words in {
        "left": "left|leftwards",
        "right": "right|rightwards",
        "up": "moves? up|moving up|going up|rising|upwards|higher|for the top",
        "down": "moves? down|moving down|going down|falling|downwards|lower|for the bottom",
        "grow": "grows|closer|nearer|bigger|approaches|towards the viewer",
        "shrink": "shrinks|moves away|smaller|farther off|recedes",
        "still": "still|not move|in place|motionless|not going anywhere|at rest",
        "spin": "spins|spinning|rotating|turns round|whirls|revolving",
        "appear": "appears|shows up|comes into view|visible|all of a sudden|pops up",
        "vanish": "disappears|vanishes|is suddenly gone|no longer|out of sight|out of view",
        "bounce": "bounces|bouncing|jumping|jumps|hops|leaps",
    }.items()
}
_TARGET = re.compile(r"\bto (left|right)\b")


def motion_of(text: str, name: str) -> str | None:
    """The motion that a decoded text speaks of, by the words of its wordings; None when it names none. `name` is not
    searched."""
    rest = re.sub(rf"\b{re.escape(name.lower())}(?:e?s)?\b", " ", text.lower())
    target = _TARGET.search(rest)
    if target:  # 'from left to right'
        return target[1]
    return next((motion for motion, marks in _MARKS.items() if marks.search(rest)), None)
