"""How good embeddings of clips are, told by the texts of the clips that nothing was learned from.

What is measured follows from the table:

* captions that come back are classes: the right one is ahead of all other captions of the table (`top-1`);
* captions of their own are searched for: a clip with the text is first, or among the first five (`R@1`, `R@5`);
* answers: the right one is ahead of all other answers to that question, or of all answers where the question is asked
  once only (`answers`).

A tie is wrong (see evaluation.ranks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.evaluation.ranks import percent, ranks
from vljepa_edge.training.data.sample import Sample

TIMES = 3
"""Captions that come this often on average are classes."""


@dataclass(frozen=True)
class Trial:
    """One choice: which candidate is right. asked: the clip's or text's place; candidates: places of texts or clips."""

    asked: int
    candidates: NDArray[np.int64]
    right: NDArray[np.bool_]


@dataclass(frozen=True)
class Task:
    """Trials of one kind. by_text: texts are asked and clips are the candidates; else the other way round."""

    name: str
    top: int
    by_text: bool
    trials: tuple[Trial, ...]

    def score(self, clips: NDArray[np.float32], texts: NDArray[np.float32]) -> float:
        """Per cent of the trials whose right candidate is among the first. clips (N, E) and texts (C, E): embeddings
        of unit norm, by place."""
        asked, others = (texts, clips) if self.by_text else (clips, texts)
        found = [
            int(ranks((others[trial.candidates] @ asked[trial.asked])[None], trial.right[None])[0])
            for trial in self.trials
        ]
        return percent(np.array(found) < self.top)

    @property
    def chance(self) -> float:
        """Per cent that drawing in any order gets right."""
        shares = []
        for trial in self.trials:
            n, right = len(trial.right), int(trial.right.sum())
            shares.append(1 - comb(n - right, self.top) / comb(n, self.top) if n > self.top else 1.0)
        return round(100.0 * float(np.mean(shares)), 1)


def tasks(samples: Sequence[Sample], held_out: NDArray[np.int64], texts: Sequence[str]) -> tuple[Task, ...]:
    """What can be measured on the held-out clips of a table. texts: the distinct targets of all of it, which a trial's
    places of texts count."""
    place = {text: i for i, text in enumerate(texts)}
    captions = [i for i, sample in enumerate(samples) if not sample.query]
    found: list[Task] = []
    of_captions = np.array([i for i in held_out if not samples[i].query], np.int64)
    if len(of_captions):
        distinct = {samples[i].target for i in captions}
        if are_classes(samples):
            found.append(_choices("top-1", samples, of_captions, [sorted(place[text] for text in distinct)], place))
        else:
            found.extend(_searches(samples, of_captions, place))
    of_answers = np.array([i for i in held_out if samples[i].query], np.int64)
    if len(of_answers):
        answers: dict[str, set[int]] = {}
        for sample in samples:
            if sample.query:
                answers.setdefault(sample.query, set()).add(place[sample.target])
        every = sorted(set().union(*answers.values()))
        lists = [sorted(own) if len(own := answers[samples[i].query]) > 1 else every for i in of_answers]
        found.append(_choices("answers", samples, of_answers, lists, place))
    return tuple(found)


def are_classes(samples: Sequence[Sample]) -> bool:
    """Whether the captions of a table come back often enough to be classes."""
    captions = [sample.target for sample in samples if not sample.query]
    return len(captions) >= TIMES * len(set(captions)) > 0


def right_keys(sample: Sample) -> tuple[str, ...]:
    """The keys of all texts that are right for a sample, its own first."""
    return (sample.target if sample.text_key is None else sample.text_key, *sample.also)


def _choices(
    name: str,
    samples: Sequence[Sample],
    rows: NDArray[np.int64],
    lists: Sequence[Sequence[int]],
    place: dict[str, int],
) -> Task:
    """lists: the candidates of every row, or one for all."""
    keys = {place[sample.target]: right_keys(sample)[0] for sample in samples}
    trials = []
    for number, row in enumerate(rows):
        candidates = np.array(lists[number % len(lists)], np.int64)
        wanted = right_keys(samples[row])
        trials.append(Trial(int(row), candidates, np.array([keys[text] in wanted for text in candidates])))
    return Task(name, 1, False, tuple(trials))


def _searches(samples: Sequence[Sample], rows: NDArray[np.int64], place: dict[str, int]) -> list[Task]:
    """Each text once; each stretch once too, whatever number of texts it has."""
    stretches = {(samples[row].media, samples[row].start, samples[row].end): row for row in reversed(rows)}
    candidates = np.array(sorted(stretches.values()), np.int64)
    trials = []
    for text, key in dict.fromkeys((samples[row].target, right_keys(samples[row])[0]) for row in rows):
        right = np.array([key in right_keys(samples[row]) for row in candidates])
        trials.append(Trial(place[text], candidates, right))
    return [Task(f"R@{top}", top, True, tuple(trials)) for top in (1, 5)]
