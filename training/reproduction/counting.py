"""Counting questions in miniature (paper, section 4.2, TallyQA in Table 2): `vljepa reproduce counting`."""

from __future__ import annotations

from collections.abc import Callable

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.model import load
from vljepa_edge.training.reproduction import task_figures
from vljepa_edge.training.reproduction.counting_items import COMPLEX, PHOTOGRAPHS, SIMPLE
from vljepa_edge.training.reproduction.experiment import Arm, Experiment
from vljepa_edge.training.reproduction.shipped import Guess, shipped_arm
from vljepa_edge.training.reproduction.task_figures import See, grey, other, seen
from vljepa_edge.training.reproduction.trained_tasks import ASKED, TABLES, UNASKED
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of


def _arm(name: str, title: str, embedder: Callable[[int], Embedder], see: See = seen) -> Arm:
    about = {"items": task_figures.COUNTS, "version": task_figures.VERSION}
    return shipped_arm(
        name, title, lambda setting: task_figures.counting(setting, embedder(setting.seed), see),
        task_figures.COUNTED, about,
    )  # fmt: skip


def _default(seed: int) -> Embedder:
    return BundleEmbedder(load())


MODEL = _arm("counting-default", "the default", _default)
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
    rule=(
        "In each group the default must be above each of the floors, and in their mean the miniature with queries "
        f"above the one without. {RULE}"
    ),
    figures={
        "counting": "accuracy, per cent, in the mean of the three groups",
        SIMPLE: "drawn clips of one kind of object",
        COMPLEX: "drawn clips with one or two objects of another kind",
        PHOTOGRAPHS: "what captions of photographs count",
    },
    arms=(MODEL, ASKED, UNASKED, *FLOORS),
    judge=all_of(
        [
            *(Contrast(MODEL.name, floor.name, (group,)) for group in _GROUPS for floor in FLOORS),
            Contrast(ASKED.name, UNASKED.name, ("counting",)),
        ]
    ),
    notes=(
        "One, two and three are right equally often in each group. TallyQA counts to 15.",
        "A seed draws the items. The model is the same, and there are few photographs that count: some 145 a seed, a "
        "third of which two seeds share. So the spread says less than it seems: the standard error of a seed's "
        "photographs is about 4.",
        "Before a grey picture, or another question's, a model can only guess from the question.",
        "Photographs are COCO's of val2017 and Flickr8k's that nothing was trained on.",
    ),
    tables=TABLES,
)
