"""What is kept in the cache, and when it is made again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vljepa_edge
from tests.toy_bundle import write_toy_bundle
from tests.training.figures.tables import write_table
from vljepa_edge.evaluation import kept as kept_arrays
from vljepa_edge.model import Model
from vljepa_edge.training.figures import kept
from vljepa_edge.training.figures.captioned import Captioned, read_captioned

TEXTS = {"red": ["A red ball.", "A ball."], "green": ["A green box."], "blue": ["A blue car moves."]}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Captioned:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    return read_captioned(write_table(tmp_path, TEXTS))


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return vljepa_edge.load(write_toy_bundle(tmp_path / "toy"), threads=1)


def forbidden(*_: Any) -> Any:
    raise AssertionError("measured again")


def test_embeddings_and_texts_are_the_model_s_own(model: Model, table: Captioned) -> None:
    seen = kept.embed_items(model, table)
    assert np.allclose(seen, np.stack([model.embed_video(item) for item in table.items]))
    assert np.allclose(kept.embed_captions(model, table), model.embed_text(table.captions))
    assert kept.decode_items(model, table, seen) == [model.decode_text(z) for z in seen]
    other = kept.embed_items(model, table, "What is red?")
    assert np.allclose(other, np.stack([model.embed_video(item, "What is red?") for item in table.items]))
    assert not np.allclose(other, seen)


def test_the_second_time_nothing_is_measured(
    model: Model, table: Captioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, texts = kept.embed_items(model, table), kept.embed_captions(model, table)
    said = kept.decode_items(model, table, seen)
    for name in ("embed_video", "embed_text", "decode_text"):
        monkeypatch.setattr(Model, name, forbidden)
    assert np.array_equal(kept.embed_items(model, table), seen)
    assert np.array_equal(kept.embed_captions(model, table), texts)
    assert kept.decode_items(model, table, seen) == said


@pytest.mark.parametrize("other", ["bundle", "caption", "photograph"])
def test_another_bundle_table_or_photograph_is_measured_anew(
    model: Model, table: Captioned, tmp_path: Path, other: str
) -> None:
    before: dict[str, Callable[[], Any]] = {
        "bundle": lambda: vljepa_edge.load(write_toy_bundle(tmp_path / "toy2", seed=1), threads=1),
        "caption": lambda: read_captioned(write_table(tmp_path, {**TEXTS, "green": ["A cup."]})),
        "photograph": lambda: read_captioned(write_table(tmp_path, {"grey": TEXTS["red"], "green": ["A green box."]})),
    }
    kept.embed_items(model, table)
    changed = before[other]()
    arguments = (changed, table) if other == "bundle" else (model, changed)
    kept.embed_items(*arguments)
    assert len(list(kept_arrays.folder().iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"\x93NUMPY not an array", b"\x80\x04\x8c\x02os\x94."])
def test_a_damaged_file_is_made_again_and_never_unpickled(model: Model, table: Captioned, damage: bytes) -> None:
    seen = kept.embed_items(model, table)
    (file,) = kept_arrays.folder().iterdir()
    file.write_bytes(damage)
    assert np.array_equal(kept.embed_items(model, table), seen)
    assert np.array_equal(np.load(file, allow_pickle=False), seen)
