"""What a bundle says of captioned photographs or clips, and whether it is right: what calibrators are fitted on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.model import Model
from vljepa_edge.perception.confidence import as_yes_or_no
from vljepa_edge.perception.labels import Labels
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.table import read_table
from vljepa_edge.training.everyday.facts import askable, facts_of
from vljepa_edge.training.everyday.photographs import Photographs, captions_of
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES, OBJECT_QUERIES
from vljepa_edge.training.everyday.questions import Questions, exists_query
from vljepa_edge.training.everyday.truth import answer_is_right, caption_is_right, general_is_right

LEAST_PHOTOGRAPHS = 50
_LEAST_CAPTIONS = 3  # fewer leave too much unsaid to call a text wrong
_QUESTIONS = 2  # about each photograph, beside what is to be seen
_NAMES = 3  # things that are there, and as many that are not, asked for in each photograph
_WATCHED = 4  # labels that aren't there for each that is: who watches waits
_DRAWN = 60  # names, of which those are kept that are absent

_SILENT = -1.0  # the cosine of a text that is empty and has no embedding: the least there is

OnPhotograph = Callable[[int, int], object]
"""How many photographs are done, how many there are."""


class Examples:
    """Numbers, whether right, and the number of the photograph that each is of."""

    def __init__(self) -> None:
        self.numbers: list[float] = []
        self.right: list[bool] = []
        self.of: list[int] = []

    def add(self, number: float, right: bool, photograph: int) -> None:
        self.numbers.append(number)
        self.right.append(right)
        self.of.append(photograph)


class Photograph(NamedTuple):
    """sample: where it is. questions: with their right answers. there: names of things; absent: of as many that aren't
    there, watched: of four times as many."""

    sample: Sample
    captions: tuple[str, ...]
    questions: list[tuple[str, tuple[str, ...]]]
    there: list[str]
    absent: list[str]
    watched: list[str]


def has_enough(table: Path) -> bool:
    """Whether a table has the photographs that a calibration needs. Raises DataError."""
    return sum(1 for _ in _well_captioned(table)) >= LEAST_PHOTOGRAPHS


def _well_captioned(table: Path) -> Iterator[tuple[list[tuple[int, Sample]], tuple[str, ...]]]:
    """The rows and the captions of each photograph that has three captions or more."""
    groups = Photographs(read_table(table))
    for number in range(len(groups)):
        samples = groups.samples(number)
        captions = captions_of(samples)
        if len(captions) >= _LEAST_CAPTIONS:
            yield samples, captions


def read_photographs(tables: Sequence[Path], seed: int) -> list[Photograph]:
    """The photographs of some tables with what is asked about each.

    Raises DataError for fewer than 50 with three captions or more.
    """
    chosen: list[tuple[Sample, tuple[str, ...], list[Sample]]] = []
    for table in tables:
        questions = Questions(table, seed, captions=0.0)
        for samples, captions in _well_captioned(table):
            chosen.append((samples[0][1], captions, [questions[index] for index, _ in samples]))
    if len(chosen) < LEAST_PHOTOGRAPHS:
        reason = f"must have at least {LEAST_PHOTOGRAPHS} photographs with {_LEAST_CAPTIONS} captions or more"
        raise DataError(", ".join(map(str, tables)), f"{reason}, got {len(chosen)}")
    rng = random.Random(seed)
    names = askable()
    shown = [[name for name in names if name in facts_of(captions).shown] for _, captions, _ in chosen]
    pool = [name for some in shown for name in some]  # so that a thing is absent as often as it is there
    found = []
    for (sample, captions, asked), there in zip(chosen, shown, strict=True):
        facts = facts_of(captions)
        drawn = dict.fromkeys(rng.choice(pool) for _ in range(_DRAWN)) if pool else {}
        absent = [name for name in drawn if facts.absent(name)]
        count = min(len(there), len(absent), _NAMES)
        kept = {
            one.query: (one.target, *one.also)
            for one in asked
            if as_yes_or_no(one.target) is None and one.query not in CAPTION_QUERIES
        }
        found.append(
            Photograph(
                sample,
                captions,
                list(kept.items())[:_QUESTIONS],
                rng.sample(there, count),
                absent[:count],
                absent[: _WATCHED * count],
            )
        )
    return found


def look(
    model: Model,
    photographs: Sequence[Photograph],
    sentences: Sequence[str],
    rows: NDArray[np.float16],
    seed: int,
    report: OnPhotograph | None,
) -> dict[str, Examples]:
    """What the model says of each photograph: by calibrator, the numbers it will judge by and whether each is right."""
    rng = random.Random(f"{seed}/asked")
    found = {name: Examples() for name in ("caption", "answer", "label", "presence", "watch", "general")}
    prompts, default = model.manifest.prompts, model.manifest.text.default_query
    label_query = default if prompts.classify_query is None else prompts.classify_query
    things = askable()
    labels = Labels(model.text, model.manifest, dict.fromkeys(things, ()))
    yes, no = model.embed_text(model.confidence.presence_texts())
    said: list[tuple[str, str, NDArray[np.float32], Callable[[str], bool], int]] = []
    for number, photograph in enumerate(photographs):
        window = _window(model, photograph.sample)
        captions = photograph.captions

        def ask(query: str, window: WindowEncoder = window) -> NDArray[np.float32]:
            return window.embed(model.text.query(query, cut=True))

        seen = ask(default)
        said.append(("caption", model.decode_text(seen), seen, partial(_names_right, captions), number))
        if len(sentences):
            cosines = rows.astype(np.float32) @ seen
            nearest = int(cosines.argmax())
            found["general"].add(float(cosines[nearest]), general_is_right(sentences[nearest], captions), number)
        objects = rng.choice(OBJECT_QUERIES)
        thing = ask(objects)
        said.append(("answer", model.decode_text(thing), thing, partial(_names_right, captions), number))
        for query, answers in photograph.questions:
            answer = ask(query)
            said.append(("answer", model.decode_text(answer), answer, partial(_answers_right, answers), number))
        kind = ask(label_query)
        for name, there in [(one, True) for one in photograph.there] + [(one, False) for one in photograph.absent]:
            label = model.text.sets.get([prompts.classify.replace("{label}", name)])[0]
            found["label"].add(float(label @ kind), there, number)
            exists = ask(exists_query(name, rng))
            found["presence"].add(float(yes @ exists) - float(no @ exists), there, number)
        scores = dict(zip(things, labels.scores(kind).tolist(), strict=True))
        for name, there in [(one, True) for one in photograph.there] + [(one, False) for one in photograph.watched]:
            found["watch"].add(scores[name], there, number)
        if report is not None:
            report(number + 1, len(photographs))
    embedded = model.embed_text([text or "-" for _, text, *_ in said])
    for (name, text, seen, is_right, number), row in zip(said, embedded, strict=True):
        found[name].add(float(row @ seen) if text else _SILENT, bool(text) and is_right(text), number)
    return found


def _names_right(captions: tuple[str, ...], text: str) -> bool:
    return caption_is_right(text, captions)


def _answers_right(answers: tuple[str, ...], text: str) -> bool:
    return answer_is_right(text, answers)


def _window(model: Model, sample: Sample) -> WindowEncoder:
    """The first window of a photograph or clip, from the sample's start on."""
    window, video = WindowEncoder(model.vision), model.manifest.video
    taken = 0
    with model.open(sample.media) as frames:
        for image, time in frames:
            if time >= (sample.start or 0.0) and (sample.end is None or time < sample.end):
                window.push(model.vision.prepare(image), time)
                taken += 1
            if taken == video.window or (sample.end is not None and time >= sample.end):
                break
    if not taken:
        raise VideoError(sample.media, "has no frame in the stretch that the table names")
    return window
