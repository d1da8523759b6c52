"""Trained arms of world prediction, counting and presence: the miniature with queries, as the paper's SFT, and without,
as its Base. Each is trained once, and measured on all three."""

from __future__ import annotations

from collections.abc import Mapping

from vljepa_edge.training.reproduction import task_figures
from vljepa_edge.training.reproduction.experiment import Arm, Setting
from vljepa_edge.training.reproduction.trained import TABLES as TRAINED_ON
from vljepa_edge.training.reproduction.trained import Trained, trained_arm

TABLES = (*TRAINED_ON, *task_figures.COUNTED, task_figures.ROBOTS)
"""That the arms are trained and measured on."""


def measure(trained: Trained, setting: Setting) -> Mapping[str, float]:
    """The figures of all three."""
    from vljepa_edge.training.reproduction.trained_embedder import TrainedEmbedder

    embedder = TrainedEmbedder(trained)
    return {
        **task_figures.world(setting, embedder),
        **task_figures.counting(setting, embedder),
        **task_figures.hallucination(setting, embedder),
    }


def _arm(name: str, title: str, changes: tuple[str, ...], paper: Mapping[str, float]) -> Arm:
    about = {"items": [task_figures.TRANSITIONS, task_figures.COUNTS], "version": task_figures.VERSION}
    return trained_arm(name, title, measure, changes, tables=TABLES, about=about, paper=paper)


ASKED = _arm("tasks-sft", "the miniature", (), {"world": 65.7, "counting": 69.9, "presence": 85.7})
UNASKED = _arm(
    "tasks-base", "the miniature on captions, without queries",
    ("stages.sft.query=false", "stages.sft.data={drawn: 0.4, coco: 0.15, flickr8k: 0.4, robot: 0.05}"),
    {"world": 63.9},
)  # fmt: skip
