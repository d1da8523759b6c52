"""The data sets of everyday photographs and clips, their terms in plain words, and which recipe of the default takes
which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

from vljepa_edge.errors import InputError
from vljepa_edge.training.everyday.originals import originals


@dataclass(frozen=True)
class DataSet:
    """One data set. tables: those that are made of it; none where it is not for training. licence: its own terms.

    open: whether what is trained on it may be used commercially, as far as the terms of texts and clips go.
    """

    name: str
    title: str
    licence: str
    tables: tuple[str, ...]
    open: bool = True


SETS = MappingProxyType({
    one.name: one
    for one in (
        DataSet(
            "coco", "COCO 2017, a part of it: photographs with captions",
            "captions CC BY 4.0 (COCO Consortium); each photograph has the licence that its owner chose on Flickr, "
            "from CC BY to CC BY-NC-ND, and of 1,194 of 1,919 it is not known which",
            ("coco-train", "coco-dev", "coco-val"),
        ),
        DataSet(
            "flickr8k", "Flickr8k: photographs with captions (Hodosh, Young and Hockenmaier 2013)",
            "non-commercial research and education only", ("flickr8k-train", "flickr8k-dev", "flickr8k-test"),
            open=False,
        ),
        DataSet(
            "video_droid", "DROID: clips of robot arms with task instructions", "CC BY 4.0",
            ("robot-train", "robot-test"),
        ),
        DataSet(
            "video_bridge", "BridgeData: clips of robot arms with names of tasks", "CC BY 4.0",
            ("robot-train", "robot-test"),
        ),
        DataSet(
            "video_openvla", "OpenVLA's page: clips of robot arms with task instructions", "CC BY-SA 4.0",
            ("robot-train", "robot-test"),
        ),
        DataSet("video_demo", "five clips of people, bottles, cars and streets", "as the repository of each says", ()),
    )
})  # fmt: skip
"""By name, which is the name of the folder too."""

RECIPES = MappingProxyType(
    {
        "tiny": tuple(one.name for one in SETS.values() if one.tables),
        "tiny-open": tuple(one.name for one in SETS.values() if one.tables and one.open),
    }
)
"""The sets that each recipe of the default is trained on. `tiny-open` leaves out what is for research only."""

TRAINING = ("coco-train", "flickr8k-train", "robot-train")
DEV = ("coco-dev", "flickr8k-dev")
"""Not trained on: what the model's confidence is fitted to, and what is chosen by."""
TESTS = ("coco-val", "flickr8k-test", "robot-test")
"""Never trained on, and nothing is chosen by them."""
TABLES = (*TRAINING, *DEV, *TESTS)


def chosen(names: Iterable[str]) -> tuple[DataSet, ...]:
    """The sets of these names, in the order of SETS. Raises InputError for one that there is not."""
    names = list(names)
    for name in names:
        if name not in SETS:
            raise InputError(f"a data set must be one of {', '.join(SETS)}; got {name!r}")
    return tuple(one for one in SETS.values() if one.name in names)


def recipe_sets(recipe: str) -> tuple[str, ...]:
    """The names of the sets that a recipe takes. Raises InputError for a recipe that there is not."""
    if recipe not in RECIPES:
        raise InputError(f"a recipe must be one of {', '.join(RECIPES)}; got {recipe!r}")
    return RECIPES[recipe]


def terms(sets: Iterable[str]) -> str:
    """Under what terms these sets are, a line a set: for NOTICE, the manifest and the model card.

    Where not all items of a set have the same licence, it says how many have which. Raises InputError for a set that
    there is not.
    """
    return "".join(f"{one.title}: {one.licence}{_counted(one.name)}.\n" for one in chosen(sets))


def _counted(name: str) -> str:
    counts = Counter(item.licence for item in originals([name])).most_common()
    return "" if len(counts) == 1 else f" ({', '.join(f'{count} {licence}' for licence, count in counts)})"
