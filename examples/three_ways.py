"""Words, ten clips of each label, or training: how often each is right in videos never seen.

python examples/make_camera_moves.py moves
python examples/three_ways.py moves
"""

import csv
import sys
import time
from pathlib import Path

import vljepa_edge
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.finetune.tune import fine_tune

folder = Path(sys.argv[1])
with open(folder / "clips.csv", newline="") as table:
    rows = list(csv.DictReader(table))
held = set(sorted({row["path"] for row in rows})[::5])  # every fifth video is for testing alone
test = [row for row in rows if row["path"] in held]
known = [row for row in rows if row["path"] not in held]
labels = sorted({row["caption"] for row in rows})
model = vljepa_edge.load()


def frames_of(row):
    with model.open(folder / row["path"]) as video:
        return [frame for frame in video if float(row["start"]) <= frame.time < float(row["end"])]


def report(way, begun, told):
    right = sum(guess == row["caption"] for guess, row in zip(told, test, strict=True))
    print(f"{way:24} {100 * right / len(test):5.1f} % of {len(test)}   ready in {begun:4.0f} s", flush=True)


print(f"chance                   {100 / len(labels):5.1f} %")
report("words", 0, [model.answer(frames_of(row), "How does the camera move?", labels).text for row in test])

begun, clips = time.perf_counter(), {label: [] for label in labels}
for row in known:
    if len(clips[row["caption"]]) < 10:
        clips[row["caption"]].append(vljepa_edge.Clip(folder / row["path"], float(row["start"]), float(row["end"])))
head = model.teach(clips)
took = time.perf_counter() - begun
told = [head.probabilities(model.features(frames_of(row))[1]).mean(0) for row in test]
report("teach, 10 clips a label", took, [head.labels[probabilities.argmax()] for probabilities in told])

begun, of_known = time.perf_counter(), folder / "known.csv"
with open(of_known, "w", newline="") as table:
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(known)
fine_tune("tiny", open_source({"path": str(of_known)}), folder / "tuned.vljepa")
took = time.perf_counter() - begun
tuned = vljepa_edge.load(folder / "tuned.vljepa")
report(f"train, {len(known)} clips", took, [tuned.classify(frames_of(row), labels)[0].label for row in test])
