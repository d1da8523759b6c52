"""The adapters on the real annotation files, which may not be committed.

Run with VLJEPA_ANNOTATIONS=FOLDER, a folder as its README describes it: FOLDER/<benchmark>/<original name>, complete
files that are large as FOLDER/<benchmark>/full/*.gz.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from tests.evaluation.embedders import Same
from tests.evaluation.shown import show
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.items import Anticipation, Classification, Retrieval
from vljepa_edge.evaluation.published import ITEMS
from vljepa_edge.evaluation.run import select
from vljepa_edge.evaluation.selective.annotations import read_atomic

FOLDER = Path(os.environ.get("VLJEPA_ANNOTATIONS", ""))
pytestmark = pytest.mark.skipif("VLJEPA_ANNOTATIONS" not in os.environ, reason="VLJEPA_ANNOTATIONS names no folder")

# Name -> the files, as (where in the folder, where in the layout); items, and how many classes or texts, if any.
FILES: dict[str, tuple[list[tuple[str, str]], int, int | None]] = {
    "ssv2": (
        [("ssv2/something-something-v2-labels.json", "something-something-v2-labels.json"),
         ("ssv2/full/something-something-v2-validation.json.gz", "something-something-v2-validation.json")],
        24_777, 174,
    ),
    "epic_kitchens_100": ([("epic_kitchens_100", ".")], 9668, None),
    "kinetics400": ([("kinetics400/full/kinetics-400_val.csv.gz", "kinetics-400_val.csv")], 19_906, 400),
    "coin_steps": ([("coin/full/COIN.rebuilt_10070_of_11827.json.gz", "COIN.json")], 11_583, 738),
    "coin_tasks": ([("coin/full/COIN.rebuilt_10070_of_11827.json.gz", "COIN.json")], 3006, 178),
    "crosstask_steps": (
        [("crosstask/crosstask_release", "crosstask_release"),
         ("crosstask/full/annotations.tar.gz", "crosstask_release")],
        2852, 105,
    ),
    "crosstask_tasks": ([("crosstask/crosstask_release", "crosstask_release")], 360, 83),
    "msrvtt": ([("msrvtt/MIL-NCE/msrvtt_test.csv", "msrvtt_test.csv")], 1000, 1000),
    "msrvtt_full": ([("msrvtt/derived/test_videodatainfo.SAMPLE.json", "test_videodatainfo.json")], 10, 200),
    "activitynet": ([("activitynet_captions/full/val_1.json.gz", "val_1.json")], 4917, 4917),
    "didemo": ([("didemo/full/test_data.json.gz", "test_data.json")], 1004, 1004),
    "msvd": (
        [("msvd/test_list.txt", "test_list.txt"), ("msvd/full/SGN_test.csv.gz", "MSR Video Description Corpus.csv")],
        670, 27_768,
    ),
    "youcook2": ([("youcook2/MIL-NCE/validation_youcook.csv", "validation_youcook.csv")], 3349, 3350),
    "youcook2 of the database": (
        [("youcook2/doc_excerpt/youcookii_annotations_trainval.SAMPLE.json", "youcookii_annotations_trainval.json")],
        13, 13,
    ),
    "dream1k": ([("dream1k/DREAM-1k.jsonl", "DREAM-1k.jsonl")], 1000, 1000),
    "epic_anticipation": (  # the pairs known are those of a part of the training set
        [("epic_kitchens_100", "."),
         ("epic_kitchens_100/full/EPIC_100_uda_source_train.csv.gz", "EPIC_100_train.csv")],
        4 * 8691, 836,
    ),
    "coin_next": ([("coin/full/COIN.rebuilt_10070_of_11827.json.gz", "COIN.json")], 8577, 734),
    "gqa": ([("gqa/SAMPLE-val_balanced_questions.json", "testdev_balanced_questions.json")], 5, None),
    "tallyqa": ([("tallyqa/doc_excerpt/test.SAMPLE.json", "test.json")], 1, None),
    "pope": ([("pope/output", "output")], 9000, None),
    "clevr": ([("clevr/CLEVR_v1.0", ".")], 7, None),
    "sugarcrepe_pp": ([("sugarcrepe_pp", ".")], 4757, None),
    "visla": ([("visla", ".")], 1613, None),
}  # fmt: skip


def lay(name: str, folder: Path) -> None:
    """The real files of a benchmark, as they are published."""
    for source, target in FILES[name][0]:
        path, to = FOLDER / source, folder / target
        if path.is_dir():
            shutil.copytree(path, to, dirs_exist_ok=True)
        elif path.name.endswith(".tar.gz"):
            with tarfile.open(path) as archive:
                archive.extractall(to, filter="data")
        else:
            to.write_bytes(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())


@pytest.mark.parametrize("name", FILES)
def test_the_real_files_are_read_and_a_few_items_evaluated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    data = tmp_path / "data"
    data.mkdir()
    lay(name, data)
    benchmark = BENCHMARKS[name.split(" ")[0]]
    task = benchmark.task(data)
    _, items, answers = FILES[name]
    assert len(task.items) == items
    assert ITEMS.get(name, items) == items or name == "coin_tasks", "those of COIN are of another split"
    if isinstance(task, Classification | Anticipation):
        print(name, len(task.items), "items", len(task.labels), "classes")
        assert answers is None or len(task.labels) == answers
    elif isinstance(task, Retrieval):
        print(name, len(task.items), "videos", sum(len(item.texts) for item in task.items), "texts")
        assert sum(len(item.texts) for item in task.items) == answers
    shortest = sorted(task.items, key=lambda item: max([media.end or 0.0 for media in item.seen()] or [0.0]))[:3]
    show((media for item in shortest for media in item.seen()), tmp_path)
    result = select(benchmark, data, limit=20).measure(Same())
    few = {"R@5", "R@10", "median rank"}  # of three videos all are in 5
    assert {value for figure, value in result.figures.items() if figure not in few} == {0.0}
    assert result.items >= min(3, items)


def test_the_documented_descriptions_of_egoexo4d_are_read_for_selective_decoding() -> None:
    """Flags are booleans of the first annotator, and "0" and "1" of the second."""
    (found,) = read_atomic(FOLDER / "egoexo4d/doc_excerpt/atomic_descriptions_val.SAMPLE.json").values()
    assert [given.time for given in found] == [0.03831, 0.76281, 3.001, 3.94343, 18.48356]
    assert found[2].text == "C leans on his left leg."
