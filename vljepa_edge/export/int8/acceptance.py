"""What an INT8 bundle must still be able to do before it is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vljepa_edge.export.int8.fidelity import Fidelity

LEAST_MEAN, LEAST_WORST = 0.99, 0.97
MOST_POINTS = 0.5
_NO_TASK = ("clips_per_split", "retrieval_captions", "count", "windows", "ways", "shown", "shown_right")
_ONLY_REPORTED = ("real_photos", "everyday")  # attempts are choices, which test sets must not make
_UNTRAINED = ("zero_training", "best_zero_training", "conse")  # what such names begin with


def task_figures(figures: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The model's own figures of a card, per cent, by dotted name: no counts, nothing that min_confidence decides, no
    read-outs that need no training, and none of the photographs and clips that are only reported."""
    found: dict[str, float] = {}
    for name, value in figures.items():
        if name in _NO_TASK or name.startswith(_UNTRAINED) or (not prefix and name in _ONLY_REPORTED):
            continue
        if isinstance(value, Mapping):
            found |= task_figures(value, f"{prefix}{name}.")
        elif prefix and isinstance(value, (int, float)) and not isinstance(value, bool):
            found[prefix + name] = float(value)
    return found


def failures(
    embeddings: Mapping[str, Fidelity], before: Mapping[str, Any], after: Mapping[str, Any] | None
) -> Iterator[str]:
    """Why the bundle must not ship, a line each.

    embeddings: by kind (video, text), to fp32. before, after: the card's figures; after is None when none were taken.
    """
    for kind, found in embeddings.items():
        if not found.meets(LEAST_MEAN, LEAST_WORST):
            yield (
                f"{kind} embeddings have cosine {found.mean:.4f} to fp32 in the mean and {found.worst:.4f} at worst; "
                f"{LEAST_MEAN} and {LEAST_WORST} are the least"
            )
    if after is None:
        return
    clips = "clips_per_split"
    if before.get(clips) != after.get(clips):
        yield f"the cards are of {before.get(clips)} and {after.get(clips)} clips a split: take the source's again"
    now = task_figures(after)
    for name, value in task_figures(before).items():
        if name not in now:
            yield f"the card has no {name} any more"
        elif not round(value - now[name], 6) <= MOST_POINTS:  # also where either is NaN
            yield f"{name} fell from {value:g} to {now[name]:g}; {MOST_POINTS} points are the most"
