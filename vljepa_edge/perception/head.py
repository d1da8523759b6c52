"""Head: the events that a user has taught, as one matrix on features of windows; see `Model.teach`."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import HeadError, InputError
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.perception.head_file import read_arrays, write_arrays
from vljepa_edge.perception.logistic import logistic
from vljepa_edge.support.arguments import as_path, shown

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception

BACKGROUND = ("nothing", "background")
"""Labels of clips in which no event happens. They are taught as the others are, and never reported."""
MOST_LABELS = 1000
LONGEST_LABEL = 200
_AGAIN = "teach it again and save it"


@dataclass(frozen=True, eq=False)
class Head:
    """Events on the features of windows: probability = 1 / (1 + exp(-(slope (weights x + bias) + offset))), each label
    for itself.

    labels      the K taught events, and "nothing" or "background" if clips of none of them were given
    weights     float32 [K, F], bias float32 [K]; F is the width of `Model.features`
    slope       and offset turn scores into probabilities that are calibrated on clips that were left out
    threshold   the probability from which on an event counts; chosen so that what is like no taught event stays below
                it (see `Model.teach`)
    encoder     names the X-encoder that it was taught with: a head of another one is refused
    model       name and version of the bundle that it was taught with, for people
    accuracy    share of clips that are told right when they are left out, cross-validated; spread is its standard
                deviation from fold to fold. recall float64 [K]: the same for each label
    clips       how many clips of each label it was taught, (K,)

    Raises InputError for parts that do not fit each other. Two heads are compared by identity.
    """

    labels: tuple[str, ...]
    weights: NDArray[np.float32] = field(repr=False)
    bias: NDArray[np.float32] = field(repr=False)
    slope: float
    offset: float
    threshold: float
    encoder: str = field(repr=False)
    model: str
    accuracy: float
    spread: float
    recall: NDArray[np.float64] = field(repr=False)
    clips: tuple[int, ...]

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem is not None:
            raise InputError(problem)
        for array in (self.weights, self.bias, self.recall):
            array.flags.writeable = False

    @property
    def events(self) -> tuple[str, ...]:
        """The labels that are reported: all but "nothing" and "background"."""
        return tuple(label for label in self.labels if not is_background(label))

    def probabilities(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Of features [F] or [N, F] of windows, the probability of each label, [K] or [N, K]. They need not sum to 1.

        Raises InputError for features of another width.
        """
        if np.ndim(features) not in (1, 2) or np.shape(features)[-1] != self.weights.shape[1]:
            raise InputError(f"features must be [N, {self.weights.shape[1]}], got {np.shape(features)}")
        scores = np.asarray(features, np.float32) @ self.weights.T + self.bias
        return logistic(self.slope * scores.astype(np.float64) + self.offset)

    def check_encoder(self, model: Perception, name: object = "head") -> None:
        """Raises HeadError when `model` has another X-encoder than the one that this head was taught with. `name` is
        what the message calls the head."""
        if self.encoder != encoder_digest(model.manifest):
            about = model.manifest
            raise HeadError(
                name,
                f"it was taught with the X-encoder of {self.model}, {about.name} {about.version} has another; "
                "teach it again with this model",
            )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a .npz file, in place of one that is there; returns the path. Raises InputError or OSError."""
        target = as_path(path, "path")
        arrays: dict[str, NDArray[Any]] = {
            "labels": np.array(self.labels),
            "weights": self.weights,
            "bias": self.bias,
            "calibration": np.array([self.slope, self.offset, self.threshold]),
            "encoder": np.array(self.encoder),
            "model": np.array(self.model),
            "accuracy": np.array([self.accuracy, self.spread]),
            "recall": self.recall,
            "clips": np.array(self.clips, np.int64),
        }
        write_arrays(target, arrays)
        return target

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Head:
        """Read what `save` wrote. Raises HeadError, naming the file, when it is missing, damaged or something else."""
        source = as_path(path, "path")
        found = read_arrays(source)
        try:
            slope, offset, threshold = (float(value) for value in found["calibration"])
            accuracy, spread = (float(value) for value in found["accuracy"])
            return cls(
                labels=tuple(str(label) for label in found["labels"]),
                weights=found["weights"],
                bias=found["bias"],
                slope=slope,
                offset=offset,
                threshold=threshold,
                encoder=str(found["encoder"]),
                model=str(found["model"]),
                accuracy=accuracy,
                spread=spread,
                recall=found["recall"],
                clips=tuple(int(count) for count in found["clips"]),
            )
        except (ValueError, TypeError) as error:
            raise HeadError(source, f"does not hold a head: {error}; {_AGAIN}") from error


def is_background(label: str) -> bool:
    """Whether clips of this label show none of the events."""
    return label.strip().lower() in BACKGROUND


def check_labels(labels: tuple[str, ...]) -> str | None:
    """What is wrong with the labels of a head; None if nothing is."""
    if not 2 <= len(labels) <= MOST_LABELS:
        return f"labels must be 2 to {MOST_LABELS}, got {len(labels)}"
    for label in labels:
        if not isinstance(label, str) or not label.strip() or len(label) > LONGEST_LABEL:
            return f"each of the labels must be a text of 1 to {LONGEST_LABEL} characters, got {shown(label)}"
        if not label.isprintable():
            return f"each of the labels must be printable, got {shown(label)}"
    if len(set(labels)) != len(labels):
        return f"the labels must all differ, got {shown(labels)}"
    if all(is_background(label) for label in labels):
        return f"one of the labels at least must be an event, got {shown(labels)}"
    return None


def _problem(head: Head) -> str | None:
    """What does not fit in a head; None if all does."""
    wrong = check_labels(head.labels)
    if wrong is not None:
        return wrong
    count = len(head.labels)
    width = head.weights.shape[-1] if head.weights.ndim == 2 else 0
    for name, array, kind, shape in (
        ("weights", head.weights, np.float32, (count, width)),
        ("bias", head.bias, np.float32, (count,)),
        ("recall", head.recall, np.float64, (count,)),
    ):
        if array.dtype != kind or array.shape != shape or not width:
            return f"{name} must be {np.dtype(kind)} {shape}, got {array.dtype} {array.shape}"
    if not (np.isfinite(head.weights).all() and np.isfinite(head.bias).all()):
        return "weights and bias must be finite"
    if not (math.isfinite(head.slope) and head.slope >= 0 and math.isfinite(head.offset)):
        return f"slope must be a number of at least 0 and offset one, got {head.slope} and {head.offset}"
    rates = [head.threshold, head.accuracy, head.spread, *head.recall.tolist()]
    if not all(0 <= rate <= 1 for rate in rates):
        return f"threshold, accuracy, spread and recall must be 0 to 1, got {shown(rates)}"
    if len(head.clips) != count or min(head.clips) < 1:
        return f"clips must be {count} counts, got {shown(head.clips)}"
    if len(head.encoder) != 64 or not set(head.encoder) <= set("0123456789abcdef"):
        return f"encoder must be 64 hex digits, got {shown(head.encoder)}"
    if not head.model or not head.model.isprintable():
        return f"model must be a printable text, got {shown(head.model)}"
    return None
