"""Is it there? Objects that captions name against absent ones, asked about photographs in two ways.

The protocol:

* A photograph shows an object that any of its captions names (objects.py). It does not show one that no caption names
  and that none hints at: after "a room" nobody can say that there is no chair.
* Of each object as many photographs that don't show it are drawn as show it (fewer of those that do, where there are
  fewer that don't), so that the object's name alone tells nothing. Chance is 50 %.
* A hash of its name puts each photograph into one of two halves. The drawing is within a half. One half chooses a
  threshold, the other is reported.
* By cosine: between the prediction under the manifest's `classify_query` and the object in its `classify` wording, what
  `classify` compares. Above one threshold for all objects is a yes.
* By asking: "Is there a dog?" with the candidates "Yes." and "No.", as `Model.answer` does: the nearer one, or where
  the bundle has a calibrator for it the more probable one. A tie is wrong.

What captions leave out is taken for absent, so a few noes are wrong, and 100 % is out of reach.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.ranks import best_cut, first, percent
from vljepa_edge.model import Model
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.training.confidence import expected_calibration_error
from vljepa_edge.training.figures.captioned import Captioned
from vljepa_edge.training.figures.kept import Array, embed_items, keep, progress
from vljepa_edge.training.figures.objects import OBJECTS, named, unclear

ANSWERS = ("Yes.", "No.")


@dataclass(frozen=True)
class Asked:
    """Whether item `item` of a table shows `thing`, and if so `there`."""

    item: int
    thing: str
    there: bool


def is_there_figures(model: Model, table: Captioned) -> dict[str, Any]:
    """Per cent right on the reported half: `by_cosine` with the other half's `threshold`, `by_asking`; `area`: under
    the ROC curve of the cosines; `questions`: how many. `chosen`: which way is better on the half that chooses.

    Of a bundle with calibrators also the expected calibration errors on the reported half (0 to 1): `ECE_presence`, of
    the probability of yes, and `ECE_label`, of the probability that the label fits. Raises DataError for a table whose
    captions name no object.
    """
    choosing, reported = draw(table, choosing=True), draw(table, choosing=False)
    cosines, answers = ask(model, table, [*choosing, *reported])
    there = np.array([asked.there for asked in (*choosing, *reported)])
    half = slice(0, len(choosing)), slice(len(choosing), None)
    threshold = best_cut(cosines[half[0]], there[half[0]])
    by_cosine = np.isfinite(cosines) & ((cosines > threshold) == there)
    presence = [model.confidence.presence(float(yes), float(no)) for yes, no in answers]
    by_asking = first(_as_scores(answers, presence), np.where(there, 0, 1))
    fits = model.confidence.label(cosines[half[1]])
    ways = {"by_cosine": by_cosine, "by_asking": by_asking}
    return {
        **{name: percent(right[half[1]]) for name, right in ways.items()},
        "area": round(100.0 * float(roc_auc_score(there[half[1]], cosines[half[1]])), 1),
        "questions": len(reported),
        "threshold": round(float(threshold), 4),
        "chosen": max(ways, key=lambda name: percent(ways[name][half[0]])),
        **_errors("presence", presence[half[1]], there[half[1]]),
        **_errors("label", None if fits is None else fits.tolist(), there[half[1]]),
    }


def _as_scores(answers: Array, presence: Sequence[float | None]) -> NDArray[np.float64]:
    """The scores (n, 2) of yes and no: their probabilities where these are known, else their cosines."""
    known = [scores if sure is None else (sure, 1 - sure) for scores, sure in zip(answers, presence, strict=True)]
    return np.array(known, np.float64)


def _errors(name: str, confidence: Iterable[float | None] | None, there: NDArray[np.bool_]) -> dict[str, float]:
    """The calibration error, where there are probabilities."""
    known = [sure for sure in confidence or () if sure is not None]
    if not known:
        return {}
    return {f"ECE_{name}": round(expected_calibration_error(known, there), 4)}


def draw(table: Captioned, *, choosing: bool) -> list[Asked]:
    """The questions of one half, as many yes as no of each object; the same for the same table, every time."""
    places = [place for place, item in enumerate(table.items) if chooses(item.name) == choosing]
    captions = {place: table.of_item(place) for place in places}
    asked = []
    for thing in OBJECTS:
        yes = [place for place in places if named(thing, captions[place])]
        no = sorted(place for place in {*places}.difference(yes) if not unclear(thing, captions[place]))
        rng = random.Random(thing.name)
        count = min(len(yes), len(no))
        for there, drawn in ((True, rng.sample(yes, count)), (False, rng.sample(no, count))):
            asked += [Asked(place, thing.name, there) for place in sorted(drawn)]
    if not asked:
        raise DataError(table.name, "no caption names an object to ask for: there must be photographs of a few objects")
    return asked


def chooses(name: str) -> bool:
    """Whether a photograph of this file name is in the half that chooses; the other is reported."""
    return hashlib.sha256(name.encode(errors="surrogateescape")).digest()[0] % 2 == 0


def ask(model: Model, table: Captioned, asked: Sequence[Asked]) -> tuple[NDArray[np.float64], Array]:
    """The cosine of each question (n,), and the scores (n, 2) of yes and no. Raises VideoError, naming the file."""
    prompts = model.manifest.prompts
    things = sorted({question.thing for question in asked})
    seen = embed_items(model, table, prompts.classify_query)
    labels = model.embed_text([prompts.classify.replace("{label}", thing) for thing in things])
    number = {thing: place for place, thing in enumerate(things)}
    cosines = np.array([seen[question.item] @ labels[number[question.thing]] for question in asked], np.float64)
    candidates = model.embed_text([prompts.answer.replace("{candidate}", answer) for answer in ANSWERS])
    return cosines, _predict(model, table, asked) @ candidates.T


def question_text(thing: str) -> str:
    """What is asked, such as "Is there a dog?"."""
    plural = thing in ("skis", "scissors")
    article = "" if plural else "an " if thing[0] in "aeiou" else "a "
    return f"{'Are' if plural else 'Is'} there {article}{thing}?"


def _predict(model: Model, table: Captioned, asked: Sequence[Asked]) -> Array:
    """(n, E): what is predicted of each question. A photograph is encoded once, for all its questions."""

    def make() -> Array:
        queries = {thing: model.text.query(question_text(thing)) for thing in {question.thing for question in asked}}
        rows: dict[int, list[int]] = {}
        for row, question in enumerate(asked):
            rows.setdefault(question.item, []).append(row)
        found = np.zeros((len(asked), model.manifest.embedding.width), np.float32)
        for item, own in progress(list(rows.items()), f"asking about {table.name}"):
            encoder = WindowEncoder(model.vision)
            with model.open(table.items[item]) as frames:
                image, time = next(iter(frames))
                encoder.push(model.vision.prepare(image), time)
            features = encoder.features()
            for row in own:
                found[row] = model.vision.predict(features, queries[asked[row].thing])
        return found

    texts = "\n".join(f"{question.item} {question_text(question.thing)}" for question in asked)
    return keep(model, table, f"asked/{hashlib.sha256(texts.encode()).hexdigest()}", make)
