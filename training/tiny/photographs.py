"""Real photographs of single objects: what `classify` makes of them, and read-outs of the frozen parts alone.

One half of the photographs chooses settings: which question and wording a bundle's `classify` should use, and which
read-out without training is the best. The other half, which chose nothing, is reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.ranks import percent, winner
from vljepa_edge.model import Model
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.everyday.queries import OBJECT_QUERIES
from vljepa_edge.training.tiny import captions, real_sets

WORDINGS = ("A {label}.", "A photo of a {label}.", "There is a {label} in the scene.")
"""What training calls an object, as prompts of a manifest. Those of the read-outs have 'an' before a vowel too."""
NONE = "(none is ahead)"
"""In place of a label where the best scores tie."""

WAY = "model, "
"""Before a question and a wording: the name of that way to ask the model."""

_MODEL = "model"
Guesses = dict[str, str]
"""By way of classifying, a label."""


def measure(model: Model) -> dict[str, Any]:
    """The card's `real_photos`, of the half that is reported, and `real_photos_tuning`, of the half that chooses."""
    texts = _Texts(model)
    photos = real_sets.photos()
    guesses = {photo.name: _guesses(model, photo, texts) for photo in photos}
    prompts = model.manifest.prompts
    own = f"{prompts.classify_query or model.manifest.text.default_query} / {prompts.classify}"
    return summary(photos, guesses, own)


def summary(photos: Iterable[real_sets.Photo], guesses: Mapping[str, Guesses], setting: str) -> dict[str, Any]:
    """Figures of what was guessed of each photograph by each way. The way 'model' is `setting`, the bundle's own."""
    halves: dict[bool, list[real_sets.Photo]] = {True: [], False: []}
    for photo in photos:
        halves[photo.tuning].append(photo)
    tuning, reported = (_shares(halves[half], guesses) for half in (True, False))
    settings = [way for way in tuning if way.startswith(WAY)]
    read_out = max((way for way in tuning if way.startswith("conse_")), key=tuning.__getitem__)
    return {
        "real_photos": {
            "count": len(halves[False]), "model": reported[_MODEL], "best_zero_training": reported[read_out],
            "rows": [
                {"photo": photo.name, "label": photo.label, "model": guesses[photo.name][_MODEL],
                 "conse": guesses[photo.name][read_out]} for photo in halves[False]
            ],
        },
        "real_photos_tuning": {
            "count": len(halves[True]), "model": tuning[_MODEL], "best_zero_training": tuning[read_out],
            "read_out": read_out, "setting": setting,
            "best_setting": max(settings, key=tuning.__getitem__).removeprefix(WAY),
            "ways": {way: share for way, share in tuning.items() if way != _MODEL},
        },
    }  # fmt: skip


def _shares(photos: list[real_sets.Photo], guesses: Mapping[str, Guesses]) -> dict[str, float]:
    """Per cent right by way."""
    right: dict[str, list[bool]] = {}
    for photo in photos:
        for way, guess in guesses[photo.name].items():
            right.setdefault(way, []).append(guess == photo.label)
    return {way: percent(answers) for way, answers in right.items()}


class _Texts:
    """Embeddings of labels in each wording, made once each."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._known: dict[str, NDArray[np.float32]] = {}

    def __call__(self, texts: list[str]) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known |= zip(new, self._model.embed_text(new), strict=True)
        return np.stack([self._known[text] for text in texts])


def _guesses(model: Model, photo: real_sets.Photo, texts: _Texts) -> Guesses:
    labels = list(photo.candidates)

    def named(scores: NDArray[Any]) -> str:
        best = winner(scores)
        return NONE if best is None else labels[best]

    scores = {score.label: score.score for score in model.classify(photo.image, labels)}
    found = {_MODEL: named(np.array([scores[label] for label in labels]))}
    worded = [texts([wording.format(label=label) for label in labels]) for wording in WORDINGS]
    for question in OBJECT_QUERIES:
        z = model.embed_video(photo.image, question)
        found |= {f"{WAY}{question} / {wording}": named(own @ z) for wording, own in zip(WORDINGS, worded, strict=True)}
    frame = model.vision.encode_frame(model.vision.prepare(photo.image))
    concepts = np.asarray(frame["appearance"][0, :, GRID_WIDTH:])
    for number, wording in enumerate(zip(*map(captions.object_captions, labels), strict=True)):
        own = texts(list(wording))
        found[f"conse_frame_{number}"] = named(own @ concepts[0])
        found[f"conse_windows_{number}"] = named(own @ concepts.mean(0))
    return found
