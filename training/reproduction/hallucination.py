"""Questions whether something is there, in miniature (paper, section 4.2, POPE in Table 2): `vljepa reproduce
hallucination`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.model import load
from vljepa_edge.training.reproduction import task_figures
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Setting
from vljepa_edge.training.reproduction.presence_items import GROUPS
from vljepa_edge.training.reproduction.shipped import Guess, shipped_arm
from vljepa_edge.training.reproduction.task_figures import See, calibrated, grey, other, seen
from vljepa_edge.training.reproduction.trained_tasks import ASKED, TABLES, UNASKED
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of


def _arm(name: str, title: str, make: Callable[[Setting], Mapping[str, float]]) -> Arm:
    return shipped_arm(name, title, make, [task_figures.PRESENT], {"version": task_figures.VERSION})


def _default(see: See) -> Callable[[Setting], Mapping[str, float]]:
    return lambda setting: task_figures.hallucination(setting, BundleEmbedder(load()), see)


def _calibrated(setting: Setting) -> Mapping[str, float]:
    model = load()
    return task_figures.hallucination(setting, BundleEmbedder(model), decide=calibrated(model))


def _chance(setting: Setting) -> Mapping[str, float]:
    return task_figures.hallucination(setting, Guess(setting.seed))


MODEL = _arm("presence-default", "the default", _default(seen))
PROBABLE = _arm("presence-calibrated", "the default, the more probable answer", _calibrated)
FLOORS = (
    _arm("presence-grey", "the default before a grey picture", _default(grey)),
    _arm("presence-other", "the default before another's picture", _default(other)),
    _arm("presence-chance", "chance", _chance),
)

HALLUCINATION = Experiment(
    name="hallucination",
    section="section 4.2, POPE in Table 2",
    claim="A predicted embedding answers whether something is there, of what is often there or comes with it, too.",
    rule=(
        "In each group the default must be above each of the floors, and in their mean the miniature with queries "
        f"above the one without. {RULE}"
    ),
    figures={
        "presence": "accuracy, per cent, in the mean of the three groups",
        "random": "absent objects by chance",
        "popular": "absent objects that most photographs show",
        "adversarial": "absent objects that often come with what is shown",
        "F1": "of yes, per cent, in the mean of the groups",
        "yes": "per cent answered yes; half of the questions should be",
    },
    arms=(MODEL, PROBABLE, ASKED, UNASKED, *FLOORS),
    judge=all_of(
        [
            *(Contrast(MODEL.name, floor.name, (group,)) for group in GROUPS for floor in FLOORS),
            Contrast(ASKED.name, UNASKED.name, ("presence",)),
        ]
    ),
    notes=(
        "Photographs are COCO's of val2017. What they show and what not is what their captions say and leave no room "
        "for; POPE asks about the boxes of COCO, which captions leave out often.",
        "A seed draws which of the shown objects are asked for, and which absent ones in the first group. So seeds "
        "share 98 % of the questions of the other two groups and half of those of the first, and their spread says "
        "little of chance; a standard error of 0.8 does, that of 2,348 questions.",
        "Model.answer gives the more probable answer, by a calibrator that was fitted to other photographs.",
        "Before a grey picture, or another question's, a model can only guess from the question.",
        "Without queries all questions about a photograph get one answer, so that half of them are right.",
    ),
    tables=TABLES,
)
