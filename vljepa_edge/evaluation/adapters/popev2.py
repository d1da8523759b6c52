"""POPEv2: pairs of an image and a counterfactual one from which the thing asked for was removed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.adapters.pope import YES_NO
from vljepa_edge.evaluation.benchmark import Benchmark, Paper
from vljepa_edge.evaluation.items import Media, Question, Questions
from vljepa_edge.evaluation.layout import Layout
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.cache import cache_dir
from vljepa_edge.support.install import require

SIDES = ("normal", "counterfactual")
TREE = """\
DIR/
  test.parquet   of Monosail/POPEv2, or in data/: example_id, normal_image, counterfactual_image,
                 question, normal_label, counterfactual_label; images as {bytes, path}"""


def read(layout: Layout) -> Questions:
    """Two questions a row. The images are written to the cache folder, once."""
    require(["pyarrow"], "lerobot")
    from vljepa_edge.support.parquet import rows_of

    file = layout.file("test.parquet", "data/test.parquet", "data/test-00000-of-00001.parquet")
    columns = ["question", *(f"{side}_{what}" for side in SIDES for what in ("image", "label"))]
    items = []
    for place, row in rows_of(file, columns, 16):
        for side in SIDES:
            label = str(row[f"{side}_label"]).strip().lower()
            if label not in YES_NO or not isinstance(row["question"], str):
                raise DataError(file, f"must have a question, and yes or no as {side}_label, got {label!r}", place)
            media = Media(_image(file, place, row[f"{side}_image"]))
            items.append(Question(media, row["question"], YES_NO, YES_NO.index(label), side))
    return Questions(tuple(items))


def _image(file: Path, place: str, value: Any) -> Path:
    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, bytes):
        raise DataError(file, "must have images as {bytes, path}", place)
    path = cache_dir() / "popev2" / f"{hashlib.sha256(data).hexdigest()}{'.png' if data[1:4] == b'PNG' else '.jpg'}"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.write_bytes(data)
    return path


POPEV2 = Benchmark(
    "popev2", "POPEv2", "discriminative VQA", TREE, read,
    (Paper("Table 2", "accuracy", {"VL-JEPA SFT": 86.3, "SmolVLM-2B": 88.8, "Qwen2-VL-2B": 91.3}),),
    (
        "accuracy over both images of every pair (no metric is published)",
        "the columns are those of its description; the file itself was not seen",
    ),
)  # fmt: skip
