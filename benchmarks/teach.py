"""`python -m benchmarks.teach DATA`: events taught from ten clips each, in scenes that were never seen.

DATA holds `video_droid` (see `vljepa data fetch everyday`): clips of robot arms with a task each. Two kinds of events:

* edited: drawn into real clips (benchmarks/edited_clips.py), a scene for each clip, none on both sides;
* robot: tasks of the clips themselves, grouped by their texts; no laboratory has a day on both sides.

Beside a head: ridge and nearest mean on the model's embeddings of the same windows, and the label's text alone.
"""

from __future__ import annotations

import argparse
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.edited_clips import EVENTS, NOTHING
from vljepa_edge import Clip, Model, load
from vljepa_edge.cli.output import progress
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.tasks.clips import Example
from vljepa_edge.tasks.ridge import fit_ridge
from vljepa_edge.tasks.teach import Lesson, learn

FRAMES = 10  # of an edited clip: two and a half seconds at the rate of tiny
TAUGHT = 10  # clips of a label
TESTED = 20  # at most, of a label, in scenes that were not taught
HARD = ("a thing is put down", "a thing is taken away")  # robot arms do just that in clips of "nothing"
ROBOT = {
    "something is put into a cup or bowl": r"^(put|place|pick|move)\b.*\b(in|into|inside)\b.*\b(cup|mug|pot|bowl)\b",
    "cloth is handled": r"towel|cloth|shirt|sheet|blanket|garment|napkin",
    "a door or drawer is opened or closed": r"^(open|close)\b(?!.*(tap|book|zip|laptop))",
    "a switch or button is pressed": r"\b(switch|light|lamp|button|keyboard)\b",
    "a tap is turned": r"\b(tap|faucet)\b",
}


class Seen(NamedTuple):
    """A clip: its label, scene, features [N, F] and embeddings [N, E] of its windows."""

    label: int
    scene: str
    features: NDArray[np.float32]
    embeddings: NDArray[np.float32]


def main() -> None:
    """Read the command line, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.teach", description=__doc__)
    parser.add_argument("data", type=Path, help="the folder that holds video_droid")
    parser.add_argument("--model", type=Path, help="a bundle; the default one when left out")
    parser.add_argument("--splits", type=int, default=3, help="ways to choose what is taught")
    given = parser.parse_args()
    model = load(given.model, threads=1)
    rows = [json.loads(line) for line in (given.data / "video_droid" / "manifest.jsonl").open()]
    print(f"{model.manifest.name} {model.manifest.version}, {given.splits} splits, {TAUGHT} clips of a label taught\n")
    print("| events | labels | head | false alarms | calibration error | ridge on embeddings | nearest mean | text |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    edited = tuple(EVENTS)
    drawn = list(see_edited(model, given.data / "video_droid", rows))
    easy = [label for label in edited if label not in HARD]
    kept = [seen._replace(label=easy.index(edited[seen.label])) for seen in drawn if edited[seen.label] not in HARD]
    robot = list(see_robot(model, given.data / "video_droid", rows))
    for name, labels, clips in (
        ("edited", tuple(easy), kept),
        ("edited, and things put down and taken away", edited, drawn),
        ("robot", tuple(ROBOT), robot),
    ):
        measured = [measure(model, labels, clips, seed) for seed in range(given.splits)]
        cells = [name, str(len(labels)), *(shown(measured, key) for key in measured[0])]
        print(f"| {' | '.join(cells)} |", flush=True)


def scene_of(row: Mapping[str, Any]) -> str:
    """The laboratory and the day of a clip."""
    return "/".join(row["path"].split("/")[2:4])


def see_edited(model: Model, folder: Path, rows: list[dict[str, Any]]) -> Iterable[Seen]:
    """Events drawn into the first clip of each scene that is long enough: each scene has each event at most once."""
    scenes: dict[str, NDArray[np.uint8]] = {}
    for row in rows:
        if scene_of(row) not in scenes and row["frames"] / row["fps"] > FRAMES / 4:
            with model.open(folder / row["file"]) as frames:
                images = [image for image, _ in islice(frames, FRAMES)]
            if len(images) == FRAMES:
                scenes[scene_of(row)] = np.stack(images)
    names = sorted(scenes)
    with progress() as bar:
        for label, event in bar.track(enumerate(EVENTS), total=len(EVENTS), description="edited clips"):
            rng = np.random.default_rng(zlib.crc32(event.encode()))
            for name in rng.permutation(names)[: 2 * TAUGHT + TESTED]:
                other = scenes[str(rng.choice([one for one in names if one != name]))]
                yield see(model, label, str(name), EVENTS[event](scenes[str(name)], other, rng))


def see_robot(model: Model, folder: Path, rows: list[dict[str, Any]]) -> Iterable[Seen]:
    """Clips whose text fits one of the groups, and no other."""
    fitting = [
        (row, [number for number, pattern in enumerate(ROBOT.values()) if re.search(pattern, row["label"].lower())])
        for row in rows
    ]
    with progress() as bar:
        for row, labels in bar.track([pair for pair in fitting if len(pair[1]) == 1], description="robot clips"):
            yield see(model, labels[0], scene_of(row), folder / row["file"])


def see(model: Model, label: int, scene: str, clip: Any) -> Seen:
    """Look at the full windows of a clip once, for features and for embeddings."""
    encoder = WindowEncoder(model.vision)
    query = model.text.query(model.manifest.text.default_query)
    window = model.manifest.video.window
    features, embeddings = [], []
    with model.open(clip) as frames:
        for count, (image, time) in enumerate(frames, 1):
            encoder.push(model.vision.prepare(image), time)
            if count >= window:
                features.append(encoder.pooled())
                embeddings.append(encoder.embed(query))
    if not features:
        features, embeddings = [encoder.pooled()], [encoder.embed(query)]
    return Seen(label, scene, np.stack(features), np.stack(embeddings))


def measure(model: Model, labels: tuple[str, ...], clips: list[Seen], seed: int) -> dict[str, float]:
    """Teach one choice of clips, and test on scenes that it does not hold: shares of clips told right, and more."""
    rng = np.random.default_rng(seed)
    order = [clips[number] for number in rng.permutation(len(clips))]
    scenes = sorted({clip.scene for clip in order})
    open_to = set(rng.permutation(scenes)[: len(scenes) // 2].tolist()) if len(scenes) > 100 else set(scenes)
    taught = [clip for k in range(len(labels)) for clip in islice(of(order, k, open_to), TAUGHT)]
    used = {clip.scene for clip in taught}
    rest = {scene for scene in scenes if scene not in used}
    tested = [clip for k in range(len(labels)) for clip in islice(of(order, k, rest), TESTED)]
    lesson = learn_from(model, labels, taught)
    head = lesson.head
    chances = [head.probabilities(clip.features) for clip in tested]
    truth = np.array([clip.label for clip in tested])
    events = np.array([label != NOTHING for label in labels])
    quiet = [row[:, events].max(1) for row, k in zip(chances, truth, strict=True) if not events[k]]
    return {
        "head": told([row.mean(0) for row in chances], truth),
        "false alarms": float((np.concatenate(quiet) >= head.threshold).mean()) if quiet else float("nan"),
        "calibration error": calibration_error(chances, truth),
        **on_embeddings(taught, tested, truth, len(labels)),
        "text": told([model.embed_text([f"{name}." for name in labels]) @ c.embeddings.mean(0) for c in tested], truth),
    }


def of(clips: list[Seen], label: int, scenes: set[str]) -> Iterable[Seen]:
    return (clip for clip in clips if clip.label == label and clip.scene in scenes)


def learn_from(model: Model, labels: tuple[str, ...], taught: list[Seen]) -> Lesson:
    examples = [Example(clip.label, str(i), clip.scene, Clip(".")) for i, clip in enumerate(taught)]
    return learn(model, labels, examples, {i: clip.features for i, clip in enumerate(taught)}, ())


def told(scores: list[NDArray[Any]], truth: NDArray[np.int64]) -> float:
    """The mean over labels of the share of clips told right: labels have different numbers of clips."""
    right = np.stack(scores).argmax(1) == truth
    return float(np.mean([right[truth == label].mean() for label in np.unique(truth)]))


def calibration_error(chances: list[NDArray[np.float64]], truth: NDArray[np.int64]) -> float:
    """Expected calibration error of the probabilities of windows, in ten bins."""
    chance = np.concatenate([row.ravel() for row in chances])
    hits = (np.tile(np.arange(row.shape[1]) == k, len(row)) for row, k in zip(chances, truth, strict=True))
    hit = np.concatenate(list(hits))
    bins = np.minimum((10 * chance).astype(int), 9)
    return float(sum(abs((chance - hit)[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)))


def on_embeddings(taught: list[Seen], tested: list[Seen], truth: NDArray[np.int64], count: int) -> dict[str, float]:
    rows = np.concatenate([clip.embeddings for clip in taught]).astype(np.float64)
    sizes = [len(clip.embeddings) for clip in taught]
    labels = np.repeat([clip.label for clip in taught], sizes)
    ridge = fit_ridge(rows, np.eye(count)[labels], np.ones(len(rows)), np.repeat(np.arange(len(taught)), sizes))
    means = np.stack([rows[labels == k].mean(0) for k in range(count)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    pooled = [clip.embeddings.mean(0) for clip in tested]
    return {
        "ridge on embeddings": told([row @ ridge.weights + ridge.bias for row in pooled], truth),
        "nearest mean": told([means @ row for row in pooled], truth),
    }


def shown(measured: list[dict[str, float]], key: str) -> str:
    values = np.array([one[key] for one in measured])
    if np.isnan(values).any():
        return "–"
    if key == "calibration error":
        return f"{values.mean():.3f}"
    return f"{100 * values.mean():.1f} ± {100 * values.std():.1f} %"


if __name__ == "__main__":
    main()
