"""Questions how many there are, in miniature: of drawn clips, and of photographs whose captions count.

Groups, each with as many of one as of two and of three:

* `simple`: one kind of object is in the clip (TallyQA, section 3: simple questions need detection alone).
* `complex`: one or two objects of another kind are there too, and are not to be counted.
* `photographs`: what the captions of a photograph count and none contradicts (everyday.questions).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.items import Media, Question, Questions
from vljepa_edge.training.everyday.english import plural, sentence
from vljepa_edge.training.everyday.facts import facts_of
from vljepa_edge.training.everyday.parse import parse
from vljepa_edge.training.everyday.questions import count_asked
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.reproduction.held_out import HeldOut, another, paste
from vljepa_edge.training.tiny.captions import COUNTED_MOTIONS, COUNTS
from vljepa_edge.training.tiny.lossless import write_clip
from vljepa_edge.training.tiny.scenes import SIZE, Item, Painter, Pose, apart, motion_path

SIMPLE, COMPLEX, PHOTOGRAPHS = "simple", "complex", "photographs"
ANSWERS = tuple(sentence(count) for count in COUNTS)
_SIZES, _SPACE = (44.0, 58.0), 60.0  # px of the longer side, and from one centre to another
_MOST_OTHERS = 2
_SLOW = 0.5  # of the way that a single object goes


def crowd(painter: Painter, names: Sequence[str], motion: str, rng: random.Random) -> NDArray[np.uint8]:
    """A clip (8, 224, 224, 3) of an object of each name, apart from each other, doing the same. How large they are does
    not depend on how many there are."""
    path = [Pose(_SLOW * pose.dx, _SLOW * pose.dy) for pose in motion_path(motion, rng)]
    items = [
        Item(painter.sprite(name, rng.uniform(*_SIZES), rng), x, y, path)
        for name, (x, y) in zip(names, apart(len(names), _SPACE, rng), strict=True)
    ]
    return paste(painter.background(rng, SIZE), items)


def drawn_counts(folder: Path, held: HeldOut, count: int, seed: int) -> Questions:
    """`count` questions of SIMPLE and as many of COMPLEX; their clips are written to `folder`."""
    rng = random.Random(f"counts/{seed}")
    items = []
    for number in range(count):
        answer = number % len(ANSWERS)
        for group in (SIMPLE, COMPLEX):
            name = rng.choice(held.names)
            shown = [name] * (answer + 1)
            if group == COMPLEX:
                shown += [another(held.names, name, rng)] * rng.randint(1, _MOST_OTHERS)
            clip = crowd(held.painter, shown, rng.choice(COUNTED_MOTIONS), rng)
            media = Media(write_clip(folder / f"{seed}-{number}-{group}.mkv", clip))
            items.append(Question(media, f"How many {plural(name)} are there?", ANSWERS, answer, group))
    return Questions(tuple(items))


def photographed_counts(table: Captioned, seed: int) -> Questions:
    """As many questions of each answer as there are of the rarest. Raises DataError for a table without all three."""
    rng = random.Random(f"photographed counts/{seed}")
    found: dict[int, list[Question]] = {answer: [] for answer in range(len(ANSWERS))}
    for place, path in enumerate(table.items):
        captions = tuple(table.of_item(place))
        facts, asked = facts_of(captions), set[str]()
        for caption in captions:
            one = count_asked(parse(caption), facts, rng)
            if one is None or one.answer not in ANSWERS or one.query in asked:
                continue
            asked.add(one.query)
            answer = ANSWERS.index(one.answer)
            found[answer].append(Question(Media(path), one.query, ANSWERS, answer, PHOTOGRAPHS))
    least = min(map(len, found.values()))
    if not least:
        raise DataError(table.name, "must have captions that count one, two and three of something")
    return Questions(tuple(item for own in found.values() for item in rng.sample(own, least)))
