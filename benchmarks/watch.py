"""How well labels are found in real video, and what watching costs: `python -m benchmarks.watch [--clips FOLDER]`.

Prints, as Markdown, the AUC of each label over hops, a fit of the calibration (a bundle's `confidence.watch`), what the
default thresholds and hold find, and the time of the predictor pass that watching adds to a hop.

The packaged videos choose, the clips of `vljepa data fetch everyday`, found by name under FOLDER, report. Each video
counts the same however long it is. Hops whose window holds both what has the label and what has not are left out.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import vljepa_edge
from benchmarks.watch_truth import CLIPS, LABELS, PACKAGED, Stretch, settled, truth
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.streaming.watch import HOLD, Sighting, read_watch
from vljepa_edge.training.tiny.assets import videos

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """One video's hops. scores, probabilities and there are [hops, labels]; bare: of the default query and the word.
    sightings: as the default policy makes them.
    """

    name: str
    chooses: bool
    times: Numbers
    stretches: tuple[Stretch, ...]
    there: Numbers  # NaN where not to be judged
    scores: Numbers
    probabilities: Numbers
    bare: Numbers
    sightings: tuple[Sighting, ...]


def main() -> None:
    """Read the command line and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watch", description=__doc__)
    parser.add_argument("--model", type=Path, default=os.environ.get("VLJEPA_MODEL"), help="the default when left out")
    parser.add_argument("--clips", type=Path, default=os.environ.get("VLJEPA_MIRROR"), help="holds the fetched clips")
    given = parser.parse_args()
    model = vljepa_edge.load(given.model, threads=1)
    seen = look(model, videos(), PACKAGED, chooses=True)
    if given.clips is not None:
        found = {path.name: path for path in sorted(Path(given.clips).rglob("*")) if path.name in CLIPS}
        seen += look(model, found, CLIPS, chooses=False)
    print(f"{model.manifest.name} {model.manifest.version}, digest {model.bundle.digest[:12]}\n")
    for line in (*table(seen), "", *fits(seen), "", *occurrences(seen), "", *cost(model, videos()["vtest"])):
        print(line)


def look(
    model: vljepa_edge.Model, paths: Mapping[str, Path], what: Mapping[str, tuple[Stretch, ...]], *, chooses: bool
) -> list[Seen]:
    """Every hop of the videos that are at hand."""
    labels = model.labels(LABELS)
    words = model.embed_text(LABELS)
    found = []
    for name in (name for name in what if name in paths):
        windows = list(model.windows(str(paths[name]), labels.query))
        plain = np.stack([window.embedding for window in model.windows(str(paths[name]))])
        starts, ends = (np.array([getattr(window, side) for window in windows]) for side in ("start", "end"))
        there = np.stack([settled(truth(what[name], label, ends), starts, ends) for label in LABELS], 1)
        scores = np.stack([labels.scores(window.embedding) for window in windows]).astype(np.float64)
        chances = np.stack([labels.probabilities(window.embedding) for window in windows]).astype(np.float64)
        watch = read_watch(model, LABELS, HOLD)
        assert watch is not None
        seen = [item for window in windows for item in watch.push(window.embedding, window.end, window.start)]
        seen += watch.end(windows[-1].end)
        bare = plain @ words.T.astype(np.float64)
        found.append(Seen(name, chooses, ends, what[name], there, scores, chances, bare, tuple(seen)))
    return found


def _pooled(seen: Iterable[Seen], values: str, label: int | None = None) -> tuple[Numbers, Numbers, Numbers]:
    """Values, whether the label is there, and weights, over all hops that can be judged."""
    columns = range(len(LABELS)) if label is None else [label]
    parts: list[tuple[Numbers, Numbers, Numbers]] = []
    for item in seen:
        for column in columns:
            known = ~np.isnan(item.there[:, column])
            weights = np.full(known.sum(), 1 / len(item.times))
            parts.append((getattr(item, values)[known, column], item.there[known, column], weights))
    numbers, there, weights = (np.concatenate(column) for column in zip(*parts, strict=True))
    return numbers, there, weights


def _auc(seen: list[Seen], values: str, label: int | None = None) -> float:
    numbers, there, weights = _pooled(seen, values, label)
    return float(roc_auc_score(there, numbers, sample_weight=weights)) if 0 < there.sum() < len(there) else float("nan")


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def table(seen: list[Seen]) -> list[str]:
    """AUC by label."""
    lines = [
        "| label | hops with it | hops without | AUC | default query, the bare word |",
        "|---|---|---|---|---|",
    ]
    for number, label in enumerate(LABELS):
        _, there, _ = _pooled(seen, "scores", number)
        aucs = (_auc(seen, values, number) for values in ("scores", "bare"))
        lines.append(f"| {label} | {there.sum():.0f} | {(there == 0).sum()} | {' | '.join(map(_shown, aucs))} |")
    means = (
        np.nanmean([_auc(seen, values, number) for number in range(len(LABELS))]) for values in ("scores", "bare")
    )
    pooled = (_auc(seen, values) for values in ("scores", "bare"))
    lines.append(f"| mean of labels | | | {' | '.join(map(_shown, means))} |")
    lines.append(f"| all labels in one | | | {' | '.join(map(_shown, pooled))} |")
    return lines


def fits(seen: list[Seen]) -> list[str]:
    """The logistic calibration that suits each half, and how far the one in use is off."""
    lines = ["| videos | labels there | slope | offset | ECE in use |", "|---|---|---|---|---|"]
    for title, chooses in (("packaged", True), ("clips", False)):
        half = [item for item in seen if item.chooses is chooses]
        if not half:
            continue
        scores, there, weights = _pooled(half, "scores")
        fit = LogisticRegression(C=1e6).fit(scores[:, None], there, sample_weight=weights / weights.mean())
        lines.append(
            f"| {title} | {100 * np.average(there, weights=weights):.0f} % | {fit.coef_[0, 0]:.2f} | "
            f"{fit.intercept_[0]:.2f} | {_ece(*_pooled(half, 'probabilities')):.3f} |"
        )
    return lines


def _ece(chances: Numbers, there: Numbers, weights: Numbers) -> float:
    """Expected calibration error over ten bins of equal width."""
    bins = np.minimum((chances * 10).astype(int), 9)
    total = 0.0
    for number in np.unique(bins):
        inside = bins == number
        total += abs(float((weights * (there - chances))[inside].sum()))
    return total / float(weights.sum())


def occurrences(seen: list[Seen]) -> list[str]:
    """What the default policy makes of the probabilities: events that are right, and things that are found."""
    lines = [
        "| videos | appeared: right | wrong | found, of stretches with a label | wrong an hour and label |",
        "|---|---|---|---|---|",
    ]
    for title, chooses in (("packaged", True), ("clips", False)):
        half = [item for item in seen if item.chooses is chooses]
        counts: dict[str, float] = dict.fromkeys(("right", "wrong", "found", "stretches", "hours"), 0.0)
        for item in half:
            counts["hours"] += len(LABELS) * (item.times[-1] - item.times[0]) / 3600
            for label in LABELS:
                _count(counts, item, label)
        if half:
            lines.append(
                f"| {title} | {counts['right']:.0f} | {counts['wrong']:.0f} | {counts['found']:.0f} of "
                f"{counts['stretches']:.0f} | {counts['wrong'] / counts['hours']:.0f} |"
            )
    return lines


def _count(counts: dict[str, float], item: Seen, label: str) -> None:
    """Add one label of one video. What overlaps no judged hop counts nowhere; half of the judged hops decide."""
    mine = [sighting for sighting in item.sightings if sighting.label == label]
    spans = [(sighting.start, sighting.end) for sighting in mine if sighting.end is not None]
    there = truth(item.stretches, label, item.times)
    for start, end in spans:
        inside = there[(item.times >= start) & (item.times <= end)]
        if not np.isnan(inside).all():
            counts["right" if np.nanmean(inside) >= 0.5 else "wrong"] += 1
    for first, last in _runs(there == 1):
        counts["stretches"] += 1
        counts["found"] += any(start <= item.times[last] and end >= item.times[first] for start, end in spans)


def _runs(holds: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last index of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], holds, [False])).astype(np.int8)))
    return [(int(a), int(b) - 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def cost(model: vljepa_edge.Model, path: Path, hops: int = 120) -> list[str]:
    """Processor time of a hop's encoding, of one predictor pass, and of scoring labels; medians."""
    encoder = WindowEncoder(model.vision, cuts=True)
    few, many = model.labels(LABELS[:2]), model.labels([f"thing {number}" for number in range(1000)])
    spent: dict[str, list[float]] = {name: [] for name in ("encode", "predict", "few", "many")}
    with model.open(str(path)) as frames:
        for (image, stamp), _ in zip(frames, range(hops), strict=False):
            marks: list[float] = [time.process_time()]

            def mark(marks: list[float] = marks) -> None:
                marks.append(time.process_time())

            encoder.push(model.vision.prepare(image), stamp)
            encoder.features()
            mark()
            embedding = encoder.embed(few.asked)
            mark()
            few.probabilities(embedding)
            mark()
            many.probabilities(embedding)
            mark()
            for name, value in zip(spent, np.diff(marks).tolist(), strict=True):
                spent[name].append(1e3 * value)
    rows: dict[str, Any] = {name: float(np.median(values)) for name, values in spent.items()}
    return [
        "| part of a hop, one thread | ms of the processor |",
        "|---|---|",
        f"| encoding: a frame and the window | {rows['encode']:.2f} |",
        f"| one predictor pass: a query, or all labels that are watched for | {rows['predict']:.2f} |",
        f"| scores of 2 labels | {rows['few']:.3f} |",
        f"| scores of 1,000 labels | {rows['many']:.3f} |",
    ]


if __name__ == "__main__":
    main()
