"""Words, ten clips of each label, or training: how often each is right in videos never seen.

`python examples/make_camera_moves.py moves`, then `python -m benchmarks.three_ways moves`. Every fifth video is for
testing alone. `vljepa train` holds a tenth of the others out for itself.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import vljepa_edge
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.finetune.tune import fine_tune
from vljepa_edge.video.frame import Frame

QUESTION = "How does the camera move?"
TAUGHT = 10  # clips of each label
_TUNED, _KNOWN = "tuned.vljepa", "known.csv"
Row = dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what examples/make_camera_moves.py wrote")
    folder: Path = parser.parse_args().folder
    with (folder / "clips.csv").open(newline="") as table:
        rows = list(csv.DictReader(table))
    held = set(sorted({row["path"] for row in rows})[::5])
    test, known = ([row for row in rows if (row["path"] in held) is wanted] for wanted in (True, False))
    labels = sorted({row["caption"] for row in rows})
    model = vljepa_edge.load()
    clips = [frames_of(model, folder, row) for row in test]

    print(f"{'chance':24} {100 / len(labels):5.1f} %")
    report("words", 0.0, test, [model.answer(clip, QUESTION, labels).text for clip in clips])
    begun = time.perf_counter()
    head = teach(model, folder, known)
    took = time.perf_counter() - begun
    told = [head.probabilities(model.features(clip)[1]).mean(0) for clip in clips]
    report(f"teach, {TAUGHT} clips a label", took, test, [head.labels[int(found.argmax())] for found in told])
    begun = time.perf_counter()
    tuned = train(folder, known)
    took = time.perf_counter() - begun
    report(f"train, {len(known)} clips", took, test, [tuned.classify(clip, labels)[0].label for clip in clips])


def frames_of(model: vljepa_edge.Model, folder: Path, row: Row) -> list[Frame]:
    """The frames of a stretch."""
    with model.open(folder / row["path"]) as video:
        return [frame for frame in video if float(row["start"]) <= frame.time < float(row["end"])]


def teach(model: vljepa_edge.Model, folder: Path, known: list[Row]) -> vljepa_edge.Head:
    """A head of the first clips of each label."""
    clips: dict[str, list[vljepa_edge.Clip]] = {}
    for row in known:
        own = clips.setdefault(row["caption"], [])
        if len(own) < TAUGHT:
            own.append(vljepa_edge.Clip(folder / row["path"], float(row["start"]), float(row["end"])))
    return model.teach(clips)


def train(folder: Path, known: list[Row]) -> vljepa_edge.Model:
    """The default, fine-tuned on all clips that are known."""
    with (folder / _KNOWN).open("w", newline="") as table:
        writer = csv.DictWriter(table, list(known[0]))
        writer.writeheader()
        writer.writerows(known)
    fine_tune("tiny", open_source({"path": str(folder / _KNOWN)}), folder / _TUNED)
    return vljepa_edge.load(folder / _TUNED)


def report(way: str, seconds: float, test: list[Row], told: list[str]) -> None:
    """Print a line: the way, how often it is right, and how long it took to get ready."""
    right = sum(guess == row["caption"] for guess, row in zip(told, test, strict=True))
    print(f"{way:24} {100 * right / len(test):5.1f} % of {len(test)}, ready in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
