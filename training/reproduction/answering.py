"""Answers of a model, and of one that sees nothing of what it is asked about: what it guesses from the question."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vljepa_edge.evaluation.embedder import Embedder, Look
from vljepa_edge.evaluation.items import Media, Questions
from vljepa_edge.evaluation.metrics import binary_f1, cosines, share
from vljepa_edge.evaluation.protocols.nearest import grouped
from vljepa_edge.evaluation.ranks import winner

Decide = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From the cosines of a question's candidates to scores, by which they are chosen."""


def answers(task: Questions, embedder: Embedder, decide: Decide = lambda scores: scores) -> NDArray[np.int64]:
    """(n,): the number of the candidate that each question is answered with; -1 where none is ahead of all others."""
    names = sorted({name for item in task.items for name in item.candidates})
    rows = dict(zip(names, embedder.embed_texts(names), strict=True))
    order = sorted(range(len(task.items)), key=lambda place: str(task.items[place].media.path))  # each is seen once
    seen = embedder.embed_media([Look(task.items[place].media, task.items[place].text) for place in order])
    found = np.full(len(task.items), -1)
    for place, row in zip(order, seen, strict=True):
        scores = cosines(row[None], np.stack([rows[name] for name in task.items[place].candidates]))[0]
        best = winner(decide(scores)) if np.isfinite(scores).all() else None
        found[place] = -1 if best is None else best
    return found


def accuracies(task: Questions, given: NDArray[np.int64]) -> dict[str, float]:
    """Per cent of each group."""
    right = given == [item.answer for item in task.items]
    return {group: share(right[places]) for group, places in grouped(task.items).items()}


def yes_figures(task: Questions, given: NDArray[np.int64]) -> dict[str, float]:
    """`F1` of yes, the first candidate, in the mean of the groups; `yes`: the per cent of all that is answered so."""
    wanted = np.array([item.answer for item in task.items])
    right = given == wanted
    f1 = [binary_f1(right[places], wanted[places] == 0) for places in grouped(task.items).values()]
    return {"F1": float(np.mean(f1)), "yes": share(given == 0)}


def hidden(task: Questions, folder: Path) -> Questions:
    """The same questions before one grey picture, which is written to `folder`."""
    grey = folder / "grey.png"
    Image.new("RGB", (64, 64), (128, 128, 128)).save(grey)
    return Questions(tuple(replace(item, media=Media(grey)) for item in task.items))


def shuffled(task: Questions, seed: int) -> Questions:
    """The same questions, each before the picture of another one of its group: pictures change places in a circle, so
    that none stays where it was."""
    items = list(task.items)
    for places in grouped(items).values():
        media = list(dict.fromkeys(items[place].media for place in places))
        moved = dict(zip(media, _turned(media, random.Random(f"shuffled/{seed}")), strict=True))
        for place in places:
            items[place] = replace(items[place], media=moved[items[place].media])
    return Questions(tuple(items))


def _turned(media: Sequence[Media], rng: random.Random) -> list[Media]:
    """Of each the one after it, in a circle of chance."""
    circle = rng.sample(range(len(media)), len(media))
    after = dict(zip(circle, [*circle[1:], circle[0]], strict=True))
    return [media[after[place]] for place in range(len(media))]
