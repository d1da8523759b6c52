"""Captioned photographs: the text stays, what asks for it changes from step to step."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vljepa_edge.errors import DataError
from vljepa_edge.training.data.sample import Varied
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.asked import Unasked
from vljepa_edge.training.everyday.captioned import Captioned
from vljepa_edge.training.everyday.queries import CAPTION_QUERIES
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(8, 32, 32)
TEXTS = ("A red square.", "A square that is red.", "A green square.")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = []
    for i, text in enumerate(TEXTS):
        name = "green.png" if "green" in text else "red.png"
        Image.new("RGB", (48, 40), name.removesuffix(".png")).save(tmp_path / name)
        rows.append({"path": name, "caption": text, "text_key": f"key {i}", "negatives": ["A blue square."]})
    (tmp_path / "photographs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "photographs.jsonl"


def test_a_sample_is_that_of_the_table_with_a_query(table: Path) -> None:
    kind = "vljepa_edge.training.everyday.captioned:Captioned"
    source, plain = open_source({"kind": kind, "of": {"path": str(table)}}), open_source(table)
    assert isinstance(source, Captioned) and isinstance(source, Varied)
    assert (len(source), source.name, source.left_out) == (3, plain.name, plain.left_out)
    for i, text in enumerate(TEXTS):
        sample = source[i]
        assert (sample.target, sample.media, sample.key) == (text, plain[i].media, plain[i].key)
        assert (sample.text_key, sample.negatives) == (f"key {i}", ("A blue square.",))
        assert sample.query in CAPTION_QUERIES
        np.testing.assert_array_equal(source.frames(sample, PLAN), plain.frames(plain[i], PLAN))
        assert source.duration(sample) == plain.duration(plain[i])
        with source.open(sample) as file:
            assert file.read() == Path(sample.media).read_bytes()


def test_the_query_changes_from_draw_to_draw_and_nothing_else_does(table: Path) -> None:
    source = Captioned({"path": str(table)})
    again = pickle.loads(pickle.dumps(source))
    features = {"luma": np.zeros((8, 4, 4), np.float16)}
    queries: Counter[str] = Counter()
    for draw in range(600):
        sample, found = source.varied(source[1], features, 2**64 - 1 - draw)
        assert found is features and (sample, found) == again.varied(again[1], features, 2**64 - 1 - draw)
        assert (sample.target, sample.text_key, sample.negatives) == (TEXTS[1], "key 1", ("A blue square.",))
        queries[sample.query] += 1
    assert set(queries) == {"", *CAPTION_QUERIES}
    assert 0.14 < queries.pop("") / 600 < 0.26  # a fifth is asked for by nothing, as in the first stage
    assert max(queries.values()) < 1.5 * min(queries.values())


def test_the_first_stage_asks_nothing(table: Path) -> None:
    source = Unasked(Captioned({"path": str(table)}))
    assert source[0].query == ""
    assert {source.varied(source[0], {}, draw)[0].query for draw in range(20)} == {""}


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.jsonl"):
        Captioned({"path": str(tmp_path / "gone.jsonl")})
