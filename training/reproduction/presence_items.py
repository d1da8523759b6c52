"""Is it there? Questions about photographs, with absent objects chosen in the three ways of POPE (arXiv 2305.10355).

Of each photograph as many objects that it shows as absent ones are asked, PER_PHOTOGRAPH at most, the same shown ones
in each group. Absent objects are `random` ones; the most `popular`, those that most photographs of the table show; or
`adversarial`, those that most often come with what the photograph shows.

POPE has the objects of COCO's annotations. Here they are what captions name; absent is what no caption names or hints
at (figures.objects). So the most treacherous objects, a chair in a room, are not asked for.
"""

from __future__ import annotations

import random

import numpy as np

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.items import Media, Question, Questions
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.figures.is_there import ANSWERS, question_text
from vljepa_edge.training.figures.objects import OBJECTS, named, unclear

PER_PHOTOGRAPH = 3
GROUPS = ("random", "popular", "adversarial")


def presence(table: Captioned, seed: int) -> Questions:
    """The questions of a table; seed: of which of the shown and of the random objects. Raises DataError where there are
    none to ask."""
    captions = [table.of_item(place) for place in range(len(table.items))]
    shown = np.array([[named(thing, own) for thing in OBJECTS] for own in captions])
    absent = ~shown & ~np.array([[unclear(thing, own) for thing in OBJECTS] for own in captions])
    how_often, together = shown.sum(0), shown.T.astype(np.int64) @ shown
    rng = random.Random(f"presence/{seed}")
    items = []
    for place, path in enumerate(table.items):
        there, missing = np.flatnonzero(shown[place]).tolist(), np.flatnonzero(absent[place]).tolist()
        count = min(PER_PHOTOGRAPH, len(there), len(missing))
        if not count:
            continue
        asked, near = rng.sample(there, count), together[there].sum(0)
        ways = {
            "random": rng.sample(missing, count),
            "popular": sorted(missing, key=lambda thing: -how_often[thing])[:count],
            "adversarial": sorted(missing, key=lambda thing: (-near[thing], -how_often[thing]))[:count],
        }
        for group in GROUPS:
            for answer, things in enumerate((asked, ways[group])):
                texts = [question_text(OBJECTS[thing].name) for thing in things]
                items += [Question(Media(path), text, ANSWERS, answer, group) for text in texts]
    if not items:
        raise DataError(table.name, "no caption names an object to ask for: there must be photographs of a few objects")
    return Questions(tuple(items))
