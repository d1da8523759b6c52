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
from vljepa_edge.evaluation.items import Classification
from vljepa_edge.evaluation.run import select

FOLDER = Path(os.environ.get("VLJEPA_ANNOTATIONS", ""))
pytestmark = pytest.mark.skipif("VLJEPA_ANNOTATIONS" not in os.environ, reason="VLJEPA_ANNOTATIONS names no folder")

# Name -> the files, as (where in the folder, where in the layout); items, and classes where there are some.
FILES: dict[str, tuple[list[tuple[str, str]], int, int | None]] = {
    "ssv2": (
        [("ssv2/something-something-v2-labels.json", "something-something-v2-labels.json"),
         ("ssv2/full/something-something-v2-validation.json.gz", "something-something-v2-validation.json")],
        24_777, 174,
    ),
    "epic_kitchens_100": ([("epic_kitchens_100", ".")], 9668, None),
    "kinetics400": ([("kinetics400/full/kinetics-400_val.csv.gz", "kinetics-400_val.csv")], 19_906, 400),
    "coin_steps": ([("coin/full/COIN.rebuilt_10070_of_11827.json.gz", "COIN.json")], 11_583, 739),
    "coin_tasks": ([("coin/full/COIN.rebuilt_10070_of_11827.json.gz", "COIN.json")], 3006, 178),
    "crosstask_steps": (
        [("crosstask/crosstask_release", "crosstask_release"),
         ("crosstask/full/annotations.tar.gz", "crosstask_release")],
        2852, 105,
    ),
    "crosstask_tasks": ([("crosstask/crosstask_release", "crosstask_release")], 360, 83),
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
    task = BENCHMARKS[name].task(data)
    _, items, classes = FILES[name]
    assert len(task.items) == items
    if isinstance(task, Classification):
        print(name, len(task.items), "items", len(task.labels), "classes")
        assert classes is None or len(task.labels) == classes
    shortest = sorted(task.items, key=lambda item: max([media.end or 0.0 for media in item.seen()] or [0.0]))[:3]
    show((media for item in shortest for media in item.seen()), tmp_path)
    result = select(BENCHMARKS[name], data, limit=20).measure(Same())
    assert set(result.figures.values()) == {0.0} and result.items >= min(3, items)
