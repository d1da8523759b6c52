"""Counting questions in miniature (paper, section 4.2, TallyQA in Table 2): `vljepa reproduce counting`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.items import Questions
from vljepa_edge.model import load
from vljepa_edge.training.figures.captioned import read_captioned
from vljepa_edge.training.reproduction import held_out
from vljepa_edge.training.reproduction.answering import accuracies, answers, hidden, shuffled
from vljepa_edge.training.reproduction.counting_items import (
    COMPLEX,
    PHOTOGRAPHS,
    SIMPLE,
    drawn_counts,
    photographed_counts,
)
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Setting
from vljepa_edge.training.reproduction.shipped import Guess, Reporting, recipe
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of

TABLES = ("coco-val.jsonl", "flickr8k-dev.jsonl")
ITEMS = 150
"""Of each drawn group and draw: fifty of each answer."""
_VERSION = 1  # of the items: raise it when they become others

See = Callable[[Questions, Path, int], Questions]
"""What is seen of questions, with a folder for pictures, and the seed."""


def seen(task: Questions, folder: Path, seed: int) -> Questions:
    """The questions as they are."""
    return task


def grey(task: Questions, folder: Path, seed: int) -> Questions:
    """Before a grey picture."""
    return hidden(task, folder)


def other(task: Questions, folder: Path, seed: int) -> Questions:
    """Before the picture of another question."""
    return shuffled(task, seed)


def figures(setting: Setting, embedder: Embedder, see: See = seen) -> dict[str, float]:
    """Accuracy of each group and their mean, on the items that the seed draws."""
    with TemporaryDirectory() as folder:
        setting.report("drawing clips", 0, 1)
        drawn = drawn_counts(Path(folder), held_out.load(), ITEMS, setting.seed)
        read = [photographed_counts(read_captioned(setting.data / table), setting.seed) for table in TABLES]
        asked = Questions(tuple(item for part in (drawn, *read) for item in part.items))
        task = see(asked, Path(folder), setting.seed)
        return accuracies(task, answers(task, Reporting(embedder, setting.report)))


def _arm(
    name: str,
    title: str,
    embedder: Callable[[int], Embedder],
    see: See = seen,
    paper: Mapping[str, float] | None = None,
) -> Arm:
    def of(data: Path) -> Mapping[str, Any]:
        return recipe(data, TABLES, items=ITEMS, version=_VERSION, model=name)

    return Arm(name, title, of, lambda setting: figures(setting, embedder(setting.seed), see), paper or {})


def _default(seed: int) -> Embedder:
    return BundleEmbedder(load())


MODEL = _arm("counting-default", "the default", _default, paper={"mean": 69.9})
FLOORS = (
    _arm("counting-grey", "the default before a grey picture", _default, grey),
    _arm("counting-other", "the default before another question's picture", _default, other),
    _arm("counting-chance", "chance", Guess),
)
_GROUPS = (SIMPLE, COMPLEX, PHOTOGRAPHS)

COUNTING = Experiment(
    name="counting",
    section="section 4.2, TallyQA in Table 2",
    claim="A predicted embedding answers how many there are, out of candidates.",
    rule=f"In each group the default must be above each of the floors. {RULE}",
    figures={
        "mean": "accuracy, per cent, in the mean of the three groups",
        SIMPLE: "drawn clips of one kind of object",
        COMPLEX: "drawn clips with one or two objects of another kind",
        PHOTOGRAPHS: "what captions of photographs count",
    },
    arms=(MODEL, *FLOORS),
    judge=all_of([Contrast(MODEL.name, floor.name, (group,)) for group in _GROUPS for floor in FLOORS]),
    notes=(
        "One, two and three are right equally often in each group. TallyQA counts to 15.",
        "A seed draws the items. The model is the same.",
        "Before a grey picture, or another question's, a model can only guess from the question.",
        "Photographs are COCO's of val2017 and Flickr8k's that nothing was trained on.",
    ),
    tables=TABLES,
)
