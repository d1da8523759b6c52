"""Action anticipation at four horizons in miniature (paper, section 4.4, Table 4): `vljepa reproduce anticipation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.metrics import class_mean_recall
from vljepa_edge.model import Model, load
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.training.reproduction import grammar
from vljepa_edge.training.reproduction.experiment import Arm, Experiment, Report, Setting
from vljepa_edge.training.reproduction.next_actions import HORIZONS, TEXTS, Item, NextActions
from vljepa_edge.training.reproduction.shipped import shipped_arm
from vljepa_edge.training.reproduction.trained import TABLES, Trained, trained_arm
from vljepa_edge.training.reproduction.verdict import RULE, Contrast, Within, all_of
from vljepa_edge.video.stretch import FramePlan

TOP, STREAMS, LEARNT_FROM = 5, 60, 200
"""The k of the recall; streams that are tested on with each seed, and trained on (training/configs)."""
_SEED = 1000  # of the streams that are tested on, and the arm's
_VERSION = 1  # of what is drawn and asked: raise it when that becomes something else
FIGURES = {f"{seconds} s": f"class-mean recall@{TOP}, per cent, {seconds} s ahead" for seconds in HORIZONS}

Scores = NDArray[np.float64]


def tested(seed: int) -> NextActions:
    """The streams that an arm is measured on: of objects and photographs that nothing was trained on."""
    return NextActions(STREAMS, _SEED + seed, held=True)


def items(source: NextActions) -> list[Item]:
    """What each sample is about."""
    return [source.item(index) for index in range(len(source))]


def recalls(scores: NDArray[Any], asked: list[Item]) -> dict[str, float]:
    """By horizon the class-mean recall. scores (n, 19): of each sample each motion's."""
    found = {}
    for seconds in HORIZONS:
        rows = [row for row, item in enumerate(asked) if item.seconds == seconds]
        found[f"{seconds} s"] = class_mean_recall(scores[rows], [asked[row].right for row in rows], TOP)
    return found


def measure(trained: Trained, setting: Setting) -> Mapping[str, float]:
    """Of a trained arm, from cached features."""
    from vljepa_edge.training.reproduction.measured import Reader

    reader, source = Reader(trained), tested(setting.seed)
    reader.fill([source], setting.report)
    seen = reader.see([source[index] for index in range(len(source))])
    return recalls(seen @ reader.read(TEXTS).T, items(source))


def seen_by(model: Model, source: NextActions, report: Report) -> NDArray[np.float32]:
    """(n, E): what a bundle predicts of each sample under its query. Each clip is encoded once."""
    video = model.manifest.video
    plan = FramePlan(video.window, video.width, video.height, video.resize)
    rows: dict[str, list[int]] = {}
    for index in range(len(source)):
        rows.setdefault(source[index].media, []).append(index)
    found = np.zeros((len(source), model.manifest.embedding.width), np.float32)
    for number, own in enumerate(rows.values()):
        report("clips", number, len(rows))
        encoder = WindowEncoder(model.vision)
        for place, frame in enumerate(source.frames(source[own[0]], plan)):
            encoder.push(frame, place / video.fps)
        for row in own:
            found[row] = encoder.embed(model.text.query(source[row].query, cut=True))
    report("clips", len(rows), len(rows))
    return found


def _default(setting: Setting) -> Mapping[str, float]:
    model, source = load(), tested(setting.seed)
    return recalls(seen_by(model, source, setting.report) @ model.embed_text(TEXTS).T, items(source))


def _frequent(setting: Setting) -> Mapping[str, float]:
    """Of motions that are equally frequent the first in the list is named: of a tie none would be."""
    learnt = [item.right for item in items(NextActions(LEARNT_FROM))]
    asked = items(tested(setting.seed))
    scores = np.bincount(learnt, minlength=len(TEXTS)) - 1e-3 * np.arange(len(TEXTS))
    return recalls(np.tile(scores, (len(asked), 1)), asked)


def _chance(setting: Setting) -> Mapping[str, float]:
    asked = items(tested(setting.seed))
    return recalls(np.random.default_rng(setting.seed).random((len(asked), len(TEXTS))), asked)


def _best(setting: Setting) -> Mapping[str, float]:
    """Motions that are equally likely are ordered by chance."""
    chain, asked = grammar.chain(), items(tested(setting.seed))
    rng = np.random.default_rng(setting.seed)
    scores = np.stack([grammar.ahead(chain, HORIZONS[item.seconds])[item.seen] for item in asked])
    return recalls(scores + 1e-5 * rng.random(scores.shape), asked)


_ABOUT = {"grammar": [grammar.USUAL, grammar.SOMETIMES], "streams": STREAMS, "version": _VERSION}


def _arm(name: str, title: str, make: Callable[[Setting], Mapping[str, float]], **about: Any) -> Arm:
    return shipped_arm(name, title, make, about=_ABOUT | about)


TUNED = trained_arm(
    "next-tuned", "the miniature, fine-tuned", measure, run="miniature_next", tables=TABLES, about=_ABOUT,
    paper={"1 s": 34.2, "2 s": 26.0, "4 s": 19.4, "10 s": 11.7},
)  # fmt: skip
FLOORS = (
    _arm("next-default", "the default, not fine-tuned", _default),
    _arm("next-frequent", "the most frequent motions", _frequent, ties="the first"),
    _arm("next-chance", "chance", _chance),
)
BEST = _arm("next-best", "who knows the grammar and every motion", _best)
_PAIRS = list(zip(FIGURES, list(FIGURES)[1:], strict=False))

ANTICIPATION = Experiment(
    name="anticipation",
    section="section 4.4, Table 4",
    claim="Fine-tuned, it predicts the next action's embedding at every horizon, the better the nearer it is.",
    rule=(
        "At each horizon the fine-tuned model must be above each of the floors, and its recall must fall from each "
        f"horizon to the next. {RULE}"
    ),
    figures=FIGURES,
    arms=(BEST, TUNED, *FLOORS),
    judge=all_of(
        [Contrast(TUNED.name, floor.name, (figure,)) for figure in FIGURES for floor in FLOORS]
        + [Within(TUNED.name, near, far) for near, far in _PAIRS]
    ),
    notes=(
        f"{len(TEXTS)} motions follow each other by a Markov chain that leaves "
        f"{grammar.entropy(grammar.chain()):.1f} bits of the next one open; EPIC-KITCHENS-100 has thousands.",
        "One model for all horizons, which the query names. It sees 2 s, up to 1, 2, 4 or 10 s before the action.",
        "Objects and photographs of the test are not trained on; its streams are of another seed.",
        "The first row is the most that anyone can have who sees so much: the Bayes rule, on the same items.",
    ),
    tables=TABLES,
)
