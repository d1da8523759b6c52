"""Teaching: events of a user's own from a few clips of each, by ridge regression on public features.

The regression is in closed form, so it takes seconds. What a head says of itself is cross-validated: clips that it
tells right when they, and all other clips of their video, were left out.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, FrameError, InputError, VideoError, VideoWarning
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.perception.head import Head, check_labels, is_background
from vljepa_edge.perception.logistic import fit_logistic, logistic
from vljepa_edge.perception.perception import as_model
from vljepa_edge.tasks.clips import Clip, Example, Report, as_examples, listed, read_rows, spread_out
from vljepa_edge.tasks.ridge import Ridge, fit_ridge

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.video.source import SourceLike

_Array = NDArray[np.float64]
_Ints = NDArray[np.int64]

MOST_WINDOWS = 12  # of a clip, evenly apart: neighbours hardly differ
MOST_ROWS = 3000  # of all clips together
MOST_SKIPPED = 0.1  # share of the clips that may be unreadable
FOLDS, REPEATS = 5, 3
MOST_LEFT_OUT = 12  # labels that are left out, one at a time, to see what a stranger scores
_QUIET = 0.1  # spread of a feature that hardly varies, as a share of the mean spread: it is not blown up


class Doubt(NamedTuple):
    """A clip that looks like another label when it is left out. margin: by how much the other one's score is higher."""

    clip: str
    label: str
    looks_like: str
    margin: float


@dataclass(frozen=True)
class Lesson:
    """A head, and what was seen while it was taught.

    confusion  float64 [K, K]: of the clips of a label (row), how many were told as each label (column) when they were
               left out; the mean of several cross-validations
    doubts     clips that may have the wrong label, the worst first
    skipped    clips that can't be read, and why
    apart      whether all clips of a video were left out together. Not where a label has clips of one video only
    """

    head: Head
    confusion: _Array
    doubts: tuple[Doubt, ...]
    skipped: tuple[tuple[str, str], ...]
    apart: bool


class _Rows(NamedTuple):
    """Windows of all clips: features [N, F], and of each the label, the clip, the group that is left out together and
    its share in the loss. A label has the same share as each other one, and so have the clips of a label."""

    features: _Array
    labels: _Ints
    clips: _Ints
    groups: _Ints
    shares: _Array

    def of(self, chosen: NDArray[np.bool_]) -> _Rows:
        features, labels, clips, groups, shares = self
        return _Rows(features[chosen], labels[chosen], clips[chosen], groups[chosen], shares[chosen])


def teach(
    model: Perception,
    clips: Mapping[str, Iterable[SourceLike | Clip]],
    *,
    report: Report | None = None,
) -> Lesson:
    """Teach a head the events of `clips`: label -> clips, each a source or a Clip of one, about ten for each label.

    Clips should show the event and little else; they may be longer or shorter than the model's window, which is slid
    over them. Clips of a label "nothing" or "background" show what is no event. They make false alarms rarer than
    anything else does; without them a label at a time is left out, and the threshold is set so that nine in ten windows
    of a label that was never taught stay below it, as long as three in four of those that were taught still pass.

    Clips that can't be read are left out with a VideoWarning. report: called with how many clips are read, of how many.

    Raises InputError for fewer than two labels or two clips of a label; DataError when more than a tenth of the clips
    can't be read; EngineError when a graph fails.
    """
    as_model(model)
    labels, examples = as_examples(clips)
    wrong = check_labels(labels)
    if wrong is not None:
        raise InputError(wrong)
    _require_two(labels, [example.label for example in examples])
    found, skipped = _read(model, examples, report)
    _require_two(labels, [examples[number].label for number in found])
    return learn(model, labels, examples, found, skipped)


def _require_two(labels: tuple[str, ...], of_clips: list[int]) -> None:
    for number, label in enumerate(labels):
        count = of_clips.count(number)
        if count < 2:
            raise InputError(f"each label needs 2 clips that can be read, better 10 or more, {label!r} has {count}")


def _read(
    model: Perception, examples: list[Example], report: Report | None
) -> tuple[dict[int, NDArray[np.float32]], tuple[tuple[str, str], ...]]:
    """Features of the clips that can be read, by number, and what is wrong with the others."""
    most = max(1, min(MOST_WINDOWS, MOST_ROWS // len(examples)))
    found: dict[int, NDArray[np.float32]] = {}
    skipped: dict[int, str] = {}
    for number, rows in read_rows(model, examples, report):
        if isinstance(rows, VideoError | FrameError):
            name, skipped[number] = examples[number].name, str(rows)
            reason = skipped[number] if name in skipped[number] else f"{name}: {rows}"
            warnings.warn(VideoWarning(f"left out: {reason}"), stacklevel=2)
            if len(skipped) > np.ceil(MOST_SKIPPED * len(examples)):
                names = listed(examples[one].name for one in skipped)
                reason = f"{len(skipped)} of {len(examples)} clips can't be read ({names}), more than a tenth"
                raise DataError(examples[number].name, f"{reason}; the last: {rows}")
        else:
            found[number] = spread_out(rows, most)
    ordered = {number: found[number] for number in sorted(found)}
    return ordered, tuple((examples[number].name, skipped[number]) for number in sorted(skipped))


def learn(
    model: Perception,
    labels: tuple[str, ...],
    examples: list[Example],
    found: dict[int, NDArray[np.float32]],
    skipped: tuple[tuple[str, str], ...],
) -> Lesson:
    """Teach from features [N, F] of windows that are there already, by the number of their example."""
    kept = [examples[number] for number in found]
    of_clips = np.array([example.label for example in kept])
    groups, apart = _groups(kept, len(labels))
    rows = _gather(list(found.values()), of_clips, groups)
    count = len(labels)
    ridge = _fit(rows, count)
    slope, offset = _calibrate(ridge, rows, count)
    confusion, accuracies = _cross_validate(rows, of_clips, groups, count)
    events = np.array([not is_background(label) for label in labels])
    sizes = np.bincount(of_clips, minlength=count)
    about = model.manifest
    head = Head(
        labels=labels,
        weights=np.ascontiguousarray(ridge.weights.T, np.float32),
        bias=ridge.bias.astype(np.float32),
        slope=slope,
        offset=offset,
        threshold=_threshold(rows, ridge, (slope, offset), events),
        encoder=encoder_digest(about),
        model=f"{about.name} {about.version}",
        accuracy=float(np.mean(accuracies)),
        spread=float(np.std(accuracies)),
        recall=np.minimum(np.diagonal(confusion) / sizes, 1.0),
        clips=tuple(int(size) for size in sizes),
    )
    return Lesson(head, confusion, _doubts(ridge, rows, kept, labels), skipped, apart)


def _groups(kept: list[Example], count: int) -> tuple[_Ints, bool]:
    """The group of each clip: that of its video, if each label has clips of two videos or more; else one of its own."""
    videos = {video: number for number, video in enumerate(dict.fromkeys(example.video for example in kept))}
    groups = np.array([videos[example.video] for example in kept])
    apart = all(len({example.video for example in kept if example.label == label}) > 1 for label in range(count))
    return (groups, True) if apart else (np.arange(len(kept)), len(videos) == len(kept))


def _gather(features: list[NDArray[np.float32]], of_clips: _Ints, groups: _Ints) -> _Rows:
    clips = np.repeat(np.arange(len(features)), [len(rows) for rows in features])
    labels = of_clips[clips]
    shares = 1.0 / (np.bincount(clips)[clips] * np.bincount(of_clips)[labels])
    return _Rows(np.concatenate(features).astype(np.float64), labels, clips, groups[clips], shares)


def _fit(rows: _Rows, count: int) -> Ridge:
    """The ridge of one-hot labels on features of unit spread, with weights and bias for features as they are."""
    share = rows.shares / rows.shares.sum()
    mean = share @ rows.features
    spread = np.sqrt(share @ (rows.features - mean) ** 2)
    scale = np.sqrt(spread**2 + (_QUIET * spread.mean()) ** 2)
    scale[scale == 0] = 1.0  # all clips are the same picture
    groups = rows.groups if len(np.unique(rows.groups)) > 1 else rows.clips  # of two videos one is left out
    found = fit_ridge((rows.features - mean) / scale, np.eye(count)[rows.labels], rows.shares, groups)
    weights = found.weights / scale[:, None]
    return found._replace(weights=weights, bias=found.bias - mean @ weights)


def _calibrate(ridge: Ridge, rows: _Rows, count: int) -> tuple[float, float]:
    """Slope and offset of probabilities, from scores of windows whose group was left out, for all labels together."""
    hits = np.eye(count, dtype=bool)[rows.labels]
    shares = np.repeat(rows.shares, count)
    return fit_logistic(ridge.held_out.ravel(), hits.ravel(), shares, float(count * len(np.unique(rows.clips))))


def _probabilities(scores: _Array, calibration: tuple[float, float]) -> _Array:
    slope, offset = calibration
    return logistic(slope * scores + offset)


def _threshold(rows: _Rows, ridge: Ridge, calibration: tuple[float, float], events: NDArray[np.bool_]) -> float:
    """The probability that nine in ten windows of no event stay below and three in four of an event reach, 0.5 to 0.99.

    No event: windows of the background that were left out or, where there is none, of labels that were left out.
    """
    held = _probabilities(ridge.held_out, calibration)
    is_event = events[rows.labels]
    own = held[np.arange(len(held)), rows.labels][is_event]
    strangers = held[~is_event][:, events].max(1) if not events.all() else _strangers(rows, len(events))
    quiet = float(np.quantile(strangers, 0.9)) if len(strangers) else 1.0
    return float(np.clip(min(quiet, float(np.quantile(own, 0.25))), 0.5, 0.99))


def _strangers(rows: _Rows, count: int) -> _Array:
    """The highest probability of each window of a label that was left out, for one label after the other."""
    found = []
    for label in range(min(count, MOST_LEFT_OUT) if count > 2 else 0):
        known = rows.labels != label
        others = rows.of(known)
        others = others._replace(labels=others.labels - (others.labels > label))
        ridge = _fit(others, count - 1)
        calibration = _calibrate(ridge, others, count - 1)
        scores = rows.features[~known] @ ridge.weights + ridge.bias
        found.append(_probabilities(scores, calibration).max(1))
    return np.concatenate(found) if found else np.empty(0)


def _cross_validate(rows: _Rows, of_clips: _Ints, groups: _Ints, count: int) -> tuple[_Array, list[float]]:
    """The confusion [K, K], a mean over repeats, and the accuracy of each fold."""
    confusion, accuracies = np.zeros((count, count)), []
    for repeat in range(REPEATS):
        folds = _folds(of_clips, groups, np.random.default_rng(repeat))
        for fold in range(folds.max() + 1):
            clips = np.flatnonzero(folds == fold)
            left_out = np.isin(rows.clips, clips)
            ridge = _fit(rows.of(~left_out), count)
            scores = rows.features[left_out] @ ridge.weights + ridge.bias
            told = _by_clip(scores, rows.clips[left_out])[clips].argmax(1)
            np.add.at(confusion, (of_clips[clips], told), 1 / REPEATS)
            accuracies.append(float(np.mean(told == of_clips[clips])))
    return confusion, accuracies


def _folds(of_clips: _Ints, groups: _Ints, rng: np.random.Generator) -> _Ints:
    """The fold of each clip, by its group: the groups of each label are dealt out in turn."""
    order = rng.permutation(len(groups))
    order = order[np.argsort(of_clips[order], kind="stable")]
    turns: dict[int, int] = {}
    for clip in order:
        turns.setdefault(int(groups[clip]), len(turns))
    return np.array([turns[int(group)] % min(FOLDS, len(turns)) for group in groups])


def _by_clip(scores: _Array, clips: _Ints) -> _Array:
    """The mean score of each clip, by its number; 0 for those that are not there."""
    total = np.zeros((int(clips.max()) + 1, scores.shape[1]))
    np.add.at(total, clips, scores)
    found: _Array = total / np.maximum(np.bincount(clips), 1)[:, None]
    return found


def _doubts(ridge: Ridge, rows: _Rows, kept: list[Example], labels: tuple[str, ...]) -> tuple[Doubt, ...]:
    scores = _by_clip(ridge.held_out, rows.clips)
    found = []
    for example, row in zip(kept, scores, strict=True):
        best = int(row.argmax())
        if best != example.label:
            margin = float(row[best] - row[example.label])
            found.append(Doubt(example.name, labels[example.label], labels[best], margin))
    return tuple(sorted(found, key=lambda doubt: -doubt.margin))
