"""Folders of the benchmarks of retrieval and of what comes next as they are published, with made-up entries.

Each has a dozen videos, so that a rank of 10 says something.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.evaluation.made_up import write, write_csv

COUNT = 12
THINGS = ("cup", "door", "hat", "kite", "lamp", "nut", "pan", "rope", "saw", "tile", "vase", "wheel")
assert len(THINGS) == COUNT


def write_lines(path: Path, rows: list[Any]) -> None:
    write(path, "".join(json.dumps(row) + "\n" for row in rows))


def msrvtt(folder: Path, caption: str = "sentence") -> None:
    rows = [[f"ret{n}", f"msr{9000 + n}", f"video{9000 + n}", f"a {thing} is shown"] for n, thing in enumerate(THINGS)]
    rows[5][3] = rows[2][3]  # a few captions of 1k-A are the same, too
    write_csv(folder / "MSRVTT_JSFUSION_test.csv", [["key", "vid_key", "video_id", caption], *rows])


def msrvtt_full(folder: Path) -> None:
    videos = [
        {"category": 1, "url": "x", "video_id": f"video{n}", "start time": 0.0, "end time": 9.0, "id": n,
         "split": "test" if n < COUNT else "train"}
        for n in range(COUNT + 1)
    ]  # fmt: skip
    sentences = [
        {"caption": f"{how} {THINGS[n % COUNT]} is shown", "video_id": f"video{n}", "sen_id": 2 * n + k}
        for k, how in enumerate(("a", "some"))
        for n in range(COUNT + 1)
    ]
    write(folder / "MSRVTT_data.json", {"info": {}, "videos": videos, "sentences": sentences})


def activitynet(folder: Path) -> None:
    value = {
        f"v_a-_{n}": {"duration": 9.0, "timestamps": [[0, 4], [3, 9]],
                      "sentences": [f"A {thing} is seen.", f"  It is put on the {THINGS[n - 1]}. "]}
        for n, thing in enumerate(THINGS)
    }  # fmt: skip
    write(folder / "captions/val_1.json", value)


def didemo(folder: Path) -> None:
    endings = (".mov", ".", ".MP4", ".3gp", ".mpg", ".avi")
    rows = []
    for sentence in ("the {} moves.", "we see a {}"):
        for n, thing in enumerate(THINGS):
            # The second sentence of one video is under another ending, as of some in the published file.
            ending = ".avi" if n == 3 and "see" in sentence else endings[n % len(endings)]
            rows.append(
                {"annotation_id": len(rows), "description": sentence.format(thing), "num_segments": 6, "dl_link": "x",
                 "times": [[0, 0], [1, 1], [0, 0], [0, 1]], "video": f"1{n}@N00_3.5_{n}ab{ending}"}
            )  # fmt: skip
    write(folder / "data/test_data.json", rows)


def _msvd(folder: Path) -> list[tuple[str, str]]:
    names = [f"-a_b{n}_{n}_{n + 7}" for n in range(COUNT)]
    write(folder / "test_list.txt", "\n".join(names) + "\n")
    captions = [(name, f"a {thing} falls") for name, thing in zip(names, THINGS, strict=True)]
    captions += [(name, f"the {thing} is on the floor") for name, thing in zip(names, THINGS, strict=True)]
    return [*captions, (names[0], "a door falls"), ("of_training_0_5", "a cup falls")]


def msvd(folder: Path) -> None:
    lines = [f"{name} {text}\n" for name, text in _msvd(folder)]
    write(folder / "AllVideoDescriptions.txt", "# made up\n\n" + "".join(lines))


def msvd_table(folder: Path) -> None:
    head = ["VideoID", "Start", "End", "WorkerID", "Source", "AnnotationTime", "Language", "Description"]
    rows = [[*name.rsplit("_", 2), 7, "clean", 66, "English", text] for name, text in _msvd(folder)]
    rows += [["-a_b0", "0", "7", 7, "clean", 66, "German", "eine Tasse"], ["-a_b0", "0", "7", 7, "x", 6, "English", ""]]
    write_csv(folder / "MSR Video Description Corpus.csv", [head, *rows])


def youcook2(folder: Path) -> None:
    rows = [[n + 1, n, 226, f"wash the {thing}", f"y-_{n // 4}"] for n, thing in enumerate(THINGS)]
    rows += [[1, 0, 226, "rinse the cup", "y-_0"]]  # a clip that stands there twice, as one in the published file
    write_csv(folder / "validation_youcook.csv", [["end", "start", "task", "text", "video_id"], *rows])


def youcook2_database(folder: Path) -> None:
    def entry(video: int, subset: str) -> dict[str, Any]:
        steps = [
            {"segment": [4 * video + k, 4 * video + k + 1], "id": k, "sentence": f"wash the {THINGS[4 * video + k]}"}
            for k in range(4)
        ]
        return {"duration": 99.5, "subset": subset, "recipe_type": "226", "annotations": steps, "video_url": "x"}

    database = {f"y-_{video}": entry(video, "validation") for video in range(3)} | {"other": entry(0, "training")}
    write(folder / "youcookii_annotations_trainval.json", {"database": database})


def pvd_bench(folder: Path) -> None:
    rows = [[f"{n:08x}", f"The video shows a {thing}, and then a hand."] for n, thing in enumerate(THINGS)]
    write_csv(folder / "imago15k.csv", [["video_id", "sentence"], *rows])


def pvd_bench_shards(folder: Path) -> None:
    for n, thing in enumerate(THINGS):
        row = {"video_id": n, "human_caption": f"The video shows a {thing}, and then a hand.", "model_caption": "x"}
        write(folder / "test" / f"00000{n % 2}" / f"{n:08x}.json", row)
    write(folder / "test/000001/ff.json", {"human_caption": None, "model_caption": "x"})


def dream1k_list(folder: Path) -> None:
    rows = [
        {"idx": str(n), "video_file": f"video/{n}.mp4", "source": "youtube", "duration": 5.1,
         "description": f"A person lifts a {thing}.", "events": ["x"], "n_subjects": 1, "n_shots": 1, "n_events": 1}
        for n, thing in enumerate(THINGS, 1)
    ]  # fmt: skip
    write(folder / "json/metadata.json", rows)


def dream1k(folder: Path) -> None:
    def entry(number: int, thing: str) -> dict[str, Any]:
        video = {"reference": None, "text": None, "type": "video", "video": {"video_file": "<placeholder>"}}
        asked = {"reference": None, "text": "Describe the video in detail.", "type": "text", "video": None}
        said = {"reference": f"A person lifts a {thing}.", "text": "", "type": "text", "video": None}
        messages = [{"content": [video, asked], "role": "user"}, {"content": [said], "role": "assistant"}]
        extra = {"duration": 5.09, "events": ["x"], "n_events": 1, "n_shots": 1, "n_subjects": 1}
        return {
            "messages": messages, "dataset": "DREAM/youtube", "task": "video/caption", "idx": number,
            "extra_info": extra, "vid": number,
        }  # fmt: skip

    write_lines(folder / "DREAM-1k.jsonl", [entry(number, thing) for number, thing in enumerate(THINGS, 1)])


def _vdc() -> list[tuple[str, dict[str, str]]]:
    kinds = ("short", "background", "main_object", "camera", "detailed")
    return [
        (f"{n:08x}-1f6e-4977", {f"{kind}_caption": f"A {kind} text of a {thing}." for kind in kinds})
        for n, thing in enumerate(THINGS)
    ]


def vdc(folder: Path) -> None:
    rows = [{"video_id": name, "video_name": f"{name}.mp4", **captions} for name, captions in _vdc()]
    write_lines(folder / "VDC_1k.jsonl", rows)


def vdc_of_aurora(folder: Path) -> None:
    rows = [{"video_id": name, "captions": captions} for name, captions in _vdc()]
    write_lines(folder / "post_eval/VDC_1k_captions.jsonl", rows)


def worldprediction_wm(folder: Path) -> None:
    rows: list[dict[str, Any]] = []
    for n in range(COUNT):
        clips = [f"clips/{n}_{k}.mp4" for k in range(3)]
        rows.append(
            {"before": f"states/{n}a.jpg", "after": [f"videos/{n % 2}.mp4", 0.5 * n], "right": n % 4,
             "candidates": [*clips, [f"videos/{n % 2}.mp4", 1, 2.5]], "dataset": ("COIN", "CrossTask")[n % 2]}
        )  # fmt: skip
    write_lines(folder / "wm.jsonl", rows)


def epic_anticipation(folder: Path) -> None:
    head = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
    head += "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"

    def row(number: int, verb: int, noun: int, start: float) -> list[object]:
        times = [f"00:{int(second) // 60:02}:{second % 60:05.2f}" for second in (start, start, start + 1.5)]
        classes = [("open", "turn-on")[verb], verb, f"x{noun}", noun, f"['x{noun}']", f"[{noun}]"]
        return [f"P99_0{number % 2}_{number}", "P99", f"P99_0{number % 2}", *times, 5, 50, "x", *classes]

    # Eight pairs, three of them twice; the training set lacks one, and the first action begins at 0.5 s.
    pairs = [(n % 2, n % 8 // 2) for n in range(11)]
    rows = [row(n, *pair, 0.5 + 6.0 * n) for n, pair in enumerate(pairs)]
    write_csv(folder / "EPIC_100_validation.csv", [head.split(","), *rows])
    known = [row(n, *pair, 3.0) for n, pair in enumerate(pairs) if pair != (1, 3)]
    write_csv(folder / "EPIC_100_train.csv", [head.split(","), *known, row(99, 1, 4, 3.0)])
    classes = ["id", "key", "instances", "category"]
    write_csv(folder / "EPIC_100_verb_classes.csv", [classes, [0, "open", "[]", "x"], [1, "turn-on", "[]", "x"]])
    nouns = [[n, key, "[]", "x"] for n, key in enumerate(("tap", "bin", "hob", "board:chopping", "fan"))]
    write_csv(folder / "EPIC_100_noun_classes_v2.csv", [classes, *nouns])


WRITERS: dict[str, Callable[[Path], None]] = {
    "msrvtt": msrvtt, "msrvtt_full": msrvtt_full, "activitynet": activitynet, "didemo": didemo, "msvd": msvd,
    "youcook2": youcook2, "pvd_bench": pvd_bench, "dream1k": dream1k, "vdc": vdc,
    "worldprediction_wm": worldprediction_wm, "epic_anticipation": epic_anticipation,
}  # fmt: skip
