"""World prediction in miniature (paper, section 4.3, Table 3): `vljepa reproduce world`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.embedder import Embedder
from vljepa_edge.evaluation.metrics import by_group
from vljepa_edge.evaluation.protocols import transition
from vljepa_edge.model import load
from vljepa_edge.training.reproduction import held_out
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Setting
from vljepa_edge.training.reproduction.frozen import Frozen
from vljepa_edge.training.reproduction.shipped import Guess, Reporting, recipe
from vljepa_edge.training.reproduction.transitions import (
    OTHER,
    ROBOT,
    SAME,
    drawn_transitions,
    robot_transitions,
    together,
)
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, all_of

TABLE = "robot-test.jsonl"
ITEMS = 99
"""Of each drawn group and draw: eleven of each motion."""
_VERSION = 1  # of the items: raise it when they become others


def figures(setting: Setting, embedder: Embedder) -> dict[str, float]:
    """Accuracy of each group and their mean, on the items that the seed draws."""
    with TemporaryDirectory() as folder:
        setting.report("drawing clips", 0, 1)
        task = together(
            [
                drawn_transitions(Path(folder), held_out.load(), ITEMS, setting.seed),
                robot_transitions(setting.data / TABLE, setting.seed),
            ]
        )
        found = transition.measure(task, Reporting(embedder, setting.report))
    return by_group({group: found[f"accuracy, {group}"] for group in (SAME, OTHER, ROBOT)})


def _arm(name: str, title: str, embedder: Callable[[int], Embedder], paper: Mapping[str, float] | None = None) -> Arm:
    def of(data: Path) -> Mapping[str, Any]:
        return recipe(data, [TABLE], items=ITEMS, version=_VERSION, model=name)

    return Arm(name, title, of, lambda setting: figures(setting, embedder(setting.seed)), paper or {})


MODEL = _arm("world-default", "the default", lambda seed: BundleEmbedder(load()), {"mean": 65.7})
FLOORS = (
    _arm("world-frozen-mean", "its frozen features, mean", lambda seed: Frozen(load(), "mean")),
    _arm("world-frozen-change", "its frozen features, change", lambda seed: Frozen(load(), "change")),
    _arm("world-chance", "chance", Guess),
)

WORLD = Experiment(
    name="world",
    section="section 4.3, Table 3",
    claim="The embedding of a first and a last picture is nearest to that of the action between them.",
    rule=f"In each group the default must be above each of the floors. {RULE}",
    figures={
        "mean": "accuracy, per cent, in the mean of the three groups",
        SAME: "four motions of one object before one photograph",
        OTHER: "four motions of another object before another photograph",
        ROBOT: "clips of robots that look alike",
    },
    arms=(MODEL, *FLOORS),
    judge=all_of([Contrast(MODEL.name, floor.name, (group,)) for group in (SAME, OTHER, ROBOT) for floor in FLOORS]),
    notes=(
        "A seed draws the items: objects, photographs, motions and candidates. The model is the same.",
        "The paper's figure is of WorldPrediction-WM, whose candidates are action equivalents in other scenes.",
        "The two pictures fill one window, half each. They and the clips are asked the default query.",
        "Frozen features are of every frame in ten regions; the change is the second half of a window less the first.",
    ),
    tables=(TABLE,),
)
