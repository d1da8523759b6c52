"""The figures of world prediction, counting and presence, of any embedder, on the items that a seed draws."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vljepa_edge.evaluation.embedder import Array, Embedder
from vljepa_edge.evaluation.items import Questions
from vljepa_edge.evaluation.metrics import by_group
from vljepa_edge.evaluation.protocols import transition
from vljepa_edge.model import Model
from vljepa_edge.training.figures.captioned import read_captioned
from vljepa_edge.training.reproduction import held_out
from vljepa_edge.training.reproduction.answering import (
    Decide,
    accuracies,
    answers,
    hidden,
    shuffled,
    yes_figures,
)
from vljepa_edge.training.reproduction.counting_items import drawn_counts, photographed_counts
from vljepa_edge.training.reproduction.experiment import Setting
from vljepa_edge.training.reproduction.presence_items import presence
from vljepa_edge.training.reproduction.shipped import Reporting
from vljepa_edge.training.reproduction.transitions import (
    OTHER,
    ROBOT,
    SAME,
    drawn_transitions,
    robot_transitions,
    together,
)

TRANSITIONS, COUNTS = 99, 150
"""Of each drawn group and draw: eleven of each motion, fifty of each count."""
ROBOTS, COUNTED, PRESENT = "robot-test.jsonl", ("coco-val.jsonl", "flickr8k-dev.jsonl"), "coco-val.jsonl"
"""The tables of the folder of data."""
VERSION = 1  # of the items: raise it when they become others

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


def nearest(scores: Array) -> Array:
    """The nearer answer is given, as in the paper."""
    return scores


def calibrated(model: Model) -> Decide:
    """The more probable answer is given, as Model.answer does. The cosines are those of yes and no, in this order."""

    def decide(scores: Array) -> Array:
        chance = model.confidence.presence(float(scores[0]), float(scores[1]))
        return scores if chance is None else np.array([chance, 1 - chance], np.float32)

    return decide


def world(setting: Setting, embedder: Embedder) -> dict[str, float]:
    """Accuracy of each group of transitions, and `world`, their mean."""
    with TemporaryDirectory() as folder:
        setting.report("drawing clips", 0, 1)
        task = together(
            [
                drawn_transitions(Path(folder), held_out.load(), TRANSITIONS, setting.seed),
                robot_transitions(setting.data / ROBOTS, setting.seed),
            ]
        )
        found = transition.measure(task, Reporting(embedder, setting.report))
    return by_group({group: found[f"accuracy, {group}"] for group in (SAME, OTHER, ROBOT)}, "world")


def counting(setting: Setting, embedder: Embedder, see: See = seen) -> dict[str, float]:
    """Accuracy of each group of counts, and `counting`, their mean."""
    with TemporaryDirectory() as folder:
        setting.report("drawing clips", 0, 1)
        drawn = drawn_counts(Path(folder), held_out.load(), COUNTS, setting.seed)
        read = [photographed_counts(read_captioned(setting.data / table), setting.seed) for table in COUNTED]
        asked = Questions(tuple(item for part in (drawn, *read) for item in part.items))
        task = see(asked, Path(folder), setting.seed)
        return by_group(accuracies(task, answers(task, Reporting(embedder, setting.report))), "counting")


def hallucination(setting: Setting, embedder: Embedder, see: See = seen, decide: Decide = nearest) -> dict[str, float]:
    """Accuracy of each group of absent objects, and `presence`, their mean; F1, and the share of yes."""
    with TemporaryDirectory() as folder:
        task = see(presence(read_captioned(setting.data / PRESENT), setting.seed), Path(folder), setting.seed)
        given = answers(task, Reporting(embedder, setting.report), decide)
    return {**by_group(accuracies(task, given), "presence"), **yes_figures(task, given)}
