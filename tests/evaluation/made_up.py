"""Folders of benchmarks as they are published, with made-up entries."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def write(path: Path, value: Any) -> None:
    """JSON, or text as it is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8", newline="")


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def ssv2(folder: Path) -> None:
    write(folder / "labels/labels.json", {"Lifting something": "0", "Tearing something into two pieces": "1"})
    rows = [
        {"id": "7", "label": "lifting a hat", "template": "Lifting [something]", "placeholders": ["a hat"]},
        {"id": "9", "label": "tearing a note into two pieces", "template": "Tearing [something] into two pieces",
         "placeholders": ["a note"]},
    ]  # fmt: skip
    write(folder / "labels/validation.json", rows)


def epic_kitchens_100(folder: Path) -> None:
    head = "narration_id,participant_id,video_id,narration_timestamp,start_timestamp,stop_timestamp,start_frame,"
    head += "stop_frame,narration,verb,verb_class,noun,noun_class,all_nouns,all_noun_classes"
    rows = [
        ["P99_01_0", "P99", "P99_01", "00:00:00.10", "00:00:00.10", "00:00:01.00", 5, 50, "open bin", "open", 3,
         "bin", 5, "['bin']", "[5]"],
        ["P99_01_1", "P99", "P99_01", "00:01:01.50", "00:00:00.50", "00:00:01.50", 25, 75, "turn on the tap",
         "turn-on", 4, "tap", 0, "['tap']", "[0]"],
        ["P99_02_0", "P99", "P99_02", "00:00:00.50", "00:00:00.50", "00:00:01.50", 25, 75, "open bin", "open", 3,
         "board:chopping", 6, "['board:chopping']", "[6]"],
    ]  # fmt: skip
    write_csv(folder / "EPIC_100_validation.csv", [head.split(","), *rows])
    head_ = ["id", "key", "instances", "category"]
    write_csv(folder / "EPIC_100_verb_classes.csv", [head_, [3, "open", "['open']", "x"], [4, "turn-on", "[]", "x"]])
    nouns = [[0, "tap", "['tap']", "x"], [5, "bin", "['bin']", "x"], [6, "board:chopping", "[]", "x"]]
    write_csv(folder / "EPIC_100_noun_classes_v2.csv", [head_, *nouns])


def egoexo4d(folder: Path) -> None:
    names = ["val/kitchen_1/start0.5_end2.25_aria01_214-1.mp4", "val/kitchen_1/start0.5_end2.25_cam01.mp4"]
    segment = {
        "segment_name_list": names, "ego_segment_name": names[0], "take_uid": "u", "take_name": "kitchen_1",
        "start_time": 0.5, "end_time": 2.25, "step_unique_id": 11, "label_id": 1, "step_name": "Wash the pan",
    }  # fmt: skip
    other = {**segment, "ego_segment_name": names[0].replace("0.5", "4.5"), "label_id": 2}
    value = {"date": "x", "description": "x", "splits": "val", "segments": [segment, other]}
    write(folder / "keystep_benchmark/keystep_segment_val.json", value)
    head = ["label_id", "step_unique_id", "step_name", "scenario_name"]
    rows = [[0, 10, "Wash the pan", "soup"], [1, 11, "Cut bread", "x"], [2, 12, "Wash the pan", "eggs"]]
    write_csv(folder / "keystep_benchmark/label_mapping.csv", [head, *rows])


def kinetics400(folder: Path) -> None:
    head = ["label", "youtube_id", "time_start", "time_end", "split"]
    rows = [["zorbing", "aB-_1234567", 417, 427, "val"], ["archery", "cD_-1234567", 6, 16, "val"]]
    write_csv(folder / "val.csv", [head, *rows])


def coin(folder: Path) -> None:
    def entry(task: str, subset: str, *steps: tuple[str, str]) -> dict[str, Any]:
        annotation = [
            {"id": number, "segment": [1.0 * place, place + 1.0], "label": label}
            for place, (number, label) in enumerate(steps)
        ]
        return {
            "recipe_type": 1, "annotation": annotation, "video_url": "x", "start": 0.0, "end": 9.5, "duration": 9.9,
            "class": task, "subset": subset,
        }  # fmt: skip

    database = {
        "aaaaaaaaaaa": entry("MakeTea", "training", ("1", "boil water"), ("2", "pour water")),
        "bbbbbbbbbbb": entry("MakeTea", "testing", ("1", "boil water"), ("3", "add sugar"), ("2", "pour water")),
        "ccccccccccc": entry("ReplaceSIMCard", "testing", ("9", "boil water"),),
    }  # fmt: skip
    write(folder / "COIN.json", {"database": database})


def crosstask(folder: Path) -> None:
    release = folder / "crosstask_release"
    tea = "1\nMake Tea\nhttps://x\n2\nboil water,pour water\n\n"
    cards = f"{tea}2\nMake Coffee\nhttps://x\n3\nboil water,add milk,stir\n"
    write(release / "tasks_primary.txt", cards)
    write(release / "tasks_related.txt", "3\nMake Soup\nhttps://x\n1\nstir\n")
    rows = [["1", "a_aaaaaaaaa", "https://x"], ["2", "bbbbbbbbbbb", "https://x"]]
    write_csv(release / "videos_val.csv", rows)
    write(release / "annotations/1_a_aaaaaaaaa.csv", "1,0.5,1.5\n2,1.5,2.5\n")
    write(release / "annotations/2_bbbbbbbbbbb.csv", "3,0.0,2.0\n")


def gqa(folder: Path) -> None:
    def entry(image: str, question: str, answer: str) -> dict[str, Any]:
        return {
            "semantic": [], "entailed": [], "equivalent": [], "question": question, "imageId": image,
            "isBalanced": True, "groups": {"global": None, "local": "x"}, "answer": answer, "semanticStr": "",
            "annotations": {}, "types": {}, "fullAnswer": "x",
        }  # fmt: skip

    value = {"0012": entry("n1", "Is it red?", "yes"), "13": entry("n2", "What is it?", "a cup")}
    write(folder / "questions1.2/testdev_balanced_questions.json", value)


def tallyqa(folder: Path) -> None:
    def entry(image: str, answer: int, simple: bool) -> dict[str, Any]:
        return {
            "answer": answer, "data_source": "amt", "image": image, "image_id": 1, "issimple": simple,
            "question": "How many cups?", "question_id": answer,
        }  # fmt: skip

    write(folder / "test.json", [entry("VG_100K_2/1.jpg", 4, True), entry("val2014/COCO_val2014_1.jpg", 15, False)])


def pope(folder: Path) -> None:
    for setting in ("random", "popular", "adversarial"):
        rows = [
            {"question_id": n, "image": f"COCO_val2014_{n:012d}.jpg", "text": "Is there a cup?", "label": label}
            for n, label in enumerate(("yes", "no"), 1)
        ]  # fmt: skip
        write(folder / f"output/coco/coco_pope_{setting}.json", "".join(json.dumps(row) + "\n" for row in rows))


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(out, "PNG")
    return out.getvalue()


def popev2(folder: Path) -> None:
    images = [{"bytes": png(shade), "path": f"{shade}.png"} for shade in (9, 99)]
    columns = {
        "example_id": [1], "image_id": [1], "normal_image": [images[0]], "counterfactual_image": [images[1]],
        "target_object": ["cup"], "question": ["Is there a cup?"], "normal_label": ["Yes"],
        "counterfactual_label": ["no"],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / "test.parquet")


def clevr(folder: Path) -> None:
    def entry(number: int, answer: str, last: str) -> dict[str, Any]:
        scene = {"inputs": [], "function": "scene", "value_inputs": []}
        program = [scene, {"inputs": [0], "function": last, "value_inputs": []}]
        return {
            "image_index": number, "program": program, "question_index": number, "question_family_index": 1,
            "split": "val", "image_filename": f"CLEVR_val_{number:06d}.png", "answer": answer, "question": "What?",
        }  # fmt: skip

    cases = [(0, "no", "exist"), (0, "10", "count"), (1, "yes", "less_than"), (1, "red", "query_color"),
             (2, "yes", "equal_shape")]  # fmt: skip
    rows = [entry(*case) for case in cases]
    write(folder / "questions/CLEVR_val_questions.json", {"info": {}, "questions": rows})


def sugarcrepe_pp(folder: Path) -> None:
    for subset in ("replace_att", "replace_obj", "replace_rel", "swap_att", "swap_obj"):
        row = {"id": 0, "filename": "1.jpg", "caption": "A red cup. ", "caption2": "A cup that is red.",
               "negative_caption": "A blue cup."}  # fmt: skip
        write(folder / f"data/{subset}.json", [row, {**row, "id": 1}])


def visla(folder: Path) -> None:
    generic = 'filename\tcaption\tsecond positive\tnegative_caption\r\n1.jpg\tA "red cup\tA cup, red\tA blue cup\r\n'
    head = "image\tsent1\tsent2\tBest reference (Semantically close)\tReference-2 (Completely irrelevant)\r\n"
    spatial = head + "1.jpg\tThe cat is in it.\tIt holds the cat.\tThe cat is out.\tA dog.\r\n2.jpg\tA.\tB.\t\t\r\n"
    write(folder / "data/Generic_VISLA.tsv", generic)
    write(folder / "data/Spatial_VISLA.tsv", spatial)


WRITERS: dict[str, Callable[[Path], None]] = {
    "ssv2": ssv2, "epic_kitchens_100": epic_kitchens_100, "egoexo4d": egoexo4d, "kinetics400": kinetics400,
    "coin_steps": coin, "coin_tasks": coin, "coin_next": coin,
    "crosstask_steps": crosstask, "crosstask_tasks": crosstask,
    "gqa": gqa, "tallyqa": tallyqa, "pope": pope, "popev2": popev2, "clevr": clevr,
    "sugarcrepe_pp": sugarcrepe_pp, "visla": visla,
}  # fmt: skip
