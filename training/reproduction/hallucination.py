"""Questions whether something is there, in miniature (paper, section 4.2, POPE in Table 2): `vljepa reproduce
hallucination`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.embedder import Array, Embedder
from vljepa_edge.model import Model, load
from vljepa_edge.training.figures.captioned import read_captioned
from vljepa_edge.training.reproduction.answering import Decide, accuracies, answers, yes_figures
from vljepa_edge.training.reproduction.counting import See, grey, other, seen
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Setting
from vljepa_edge.training.reproduction.presence_items import GROUPS, presence
from vljepa_edge.training.reproduction.shipped import Guess, Reporting, recipe
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of

TABLE = "coco-val.jsonl"
_VERSION = 1  # of the items: raise it when they become others


def nearest(scores: Array) -> Array:
    """The nearer answer is given, as in the paper."""
    return scores


def calibrated(model: Model) -> Decide:
    """The more probable answer is given, as Model.answer does. The cosines are those of yes and no, in this order."""

    def decide(scores: Array) -> Array:
        chance = model.confidence.presence(float(scores[0]), float(scores[1]))
        return scores if chance is None else np.array([chance, 1 - chance], np.float32)

    return decide


def figures(setting: Setting, embedder: Embedder, see: See = seen, decide: Decide = nearest) -> dict[str, float]:
    """Accuracy of each group and their mean, F1, and the share of yes, on the questions that the seed draws."""
    with TemporaryDirectory() as folder:
        task = see(presence(read_captioned(setting.data / TABLE), setting.seed), Path(folder), setting.seed)
        given = answers(task, Reporting(embedder, setting.report), decide)
    return {**accuracies(task, given), **yes_figures(task, given)}


def _arm(
    name: str, title: str, make: Callable[[Setting], Mapping[str, float]], paper: Mapping[str, float] | None = None
) -> Arm:
    def of(data: Path) -> Mapping[str, Any]:
        return recipe(data, [TABLE], version=_VERSION, model=name)

    return Arm(name, title, of, make, paper or {})


def _calibrated(setting: Setting) -> dict[str, float]:
    model = load()
    return figures(setting, BundleEmbedder(model), decide=calibrated(model))


MODEL = _arm(
    "presence-default", "the default", lambda setting: figures(setting, BundleEmbedder(load())), {"mean": 85.7}
)
PROBABLE = _arm("presence-calibrated", "the default, the more probable answer", _calibrated)
FLOORS = (
    _arm("presence-grey", "the default before a grey picture", lambda s: figures(s, BundleEmbedder(load()), grey)),
    _arm("presence-other", "the default before another's picture", lambda s: figures(s, BundleEmbedder(load()), other)),
    _arm("presence-chance", "chance", lambda setting: figures(setting, Guess(setting.seed))),
)

HALLUCINATION = Experiment(
    name="hallucination",
    section="section 4.2, POPE in Table 2",
    claim="A predicted embedding answers whether something is there, of what is often there or comes with it, too.",
    rule=f"In each group the default must be above each of the floors. {RULE}",
    figures={
        "mean": "accuracy, per cent, in the mean of the three groups",
        "random": "absent objects by chance",
        "popular": "absent objects that most photographs show",
        "adversarial": "absent objects that often come with what is shown",
        "F1": "of yes, per cent, in the mean of the groups",
        "yes": "per cent answered yes; half of the questions should be",
    },
    arms=(MODEL, PROBABLE, *FLOORS),
    judge=all_of([Contrast(MODEL.name, floor.name, (group,)) for group in GROUPS for floor in FLOORS]),
    notes=(
        "Photographs are COCO's of val2017. What they show and what not is what their captions say and leave no room "
        "for; POPE asks about the boxes of COCO, which captions leave out often.",
        "A seed draws which of the shown objects are asked for, and which absent ones in the first group.",
        "Model.answer gives the more probable answer, by a calibrator that was fitted to other photographs.",
        "Before a grey picture, or another question's, a model can only guess from the question.",
    ),
    tables=(TABLE,),
)
