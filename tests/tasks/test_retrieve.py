"""An index finds the windows nearest to a text, before and after it was on disk, and trusts nothing it reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.errors import IndexFileError, InputError, VideoError
from vljepa_edge.model import Model, load
from vljepa_edge.tasks.retrieve import Index


@pytest.fixture
def index(model: Model) -> Index:
    index = Index(model)
    index.add(scenes(RED, GREEN, seconds=4), name="one")
    index.add(picture(BLUE), name="zwei")
    index.add(scenes(GREEN, BLUE, seconds=3), name="three")
    return index


def assert_same_hits(found: Index, expected: Index) -> None:
    hits, others = found.search("a red ball", 9), expected.search("a red ball", 9)
    assert [(hit.name, hit.start, hit.end) for hit in hits] == [(hit.name, hit.start, hit.end) for hit in others]
    assert [hit.score for hit in hits] == pytest.approx([hit.score for hit in others], abs=1e-6)


def test_the_best_window_of_all_comes_first(model: Model, index: Index) -> None:
    wanted = model.embed_text(["green"])[0]
    rows = []
    for name, source in (
        ("one", scenes(RED, GREEN, seconds=4)),
        ("zwei", picture(BLUE)),
        ("three", scenes(GREEN, BLUE, seconds=3)),
    ):
        rows += [(float(w.embedding @ wanted), name, w.start, w.end) for w in model.windows(source, hop=4, full=True)]
    assert len(index) == len(rows) and index.names == ("one", "zwei", "three")
    best = index.search("green", 1)[0]
    score, *expected = max(rows)
    assert [best.name, best.start, best.end] == expected
    assert best.score == pytest.approx(score, abs=1e-6)


def test_hits_are_ranked_and_do_not_overlap(index: Index) -> None:
    hits = index.search("red", 100)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for i, hit in enumerate(hits):
        for other in hits[:i]:
            assert hit.name != other.name or hit.end < other.start or other.end < hit.start
    assert {hit.name for hit in hits} == {"one", "zwei", "three"}
    assert index.search("red", 2) == hits[:2]


def test_what_was_saved_is_what_is_loaded(model: Model, index: Index, tmp_path: Path) -> None:
    loaded = Index.load(index.save(tmp_path / "index"), model)
    assert_same_hits(loaded, index)
    assert (loaded.names, loaded.query, len(loaded)) == (index.names, index.query, len(index))
    assert isinstance(loaded._embeddings[0], np.memmap)


def test_a_loaded_index_grows_and_is_saved_over_itself(model: Model, index: Index, tmp_path: Path) -> None:
    loaded = Index.load(index.save(tmp_path), model)
    (tmp_path / "notes.txt").write_text("mine")
    loaded.add(picture(RED), name="four")
    index.add(picture(RED), name="four")
    again = Index.load(loaded.save(tmp_path), model)
    assert_same_hits(again, index)
    assert len(list(tmp_path.glob("*.npy"))) == 2 and (tmp_path / "notes.txt").exists()


def test_an_empty_index_has_no_hits_and_can_be_saved(model: Model, tmp_path: Path) -> None:
    assert Index(model).search("red") == []
    assert Index.load(Index(model).save(tmp_path), model).search("red") == []


def test_a_crash_while_saving_leaves_the_old_index(
    model: Model, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index.save(tmp_path)
    index.add(picture(RED), name="four")

    def crash(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(IndexFileError, match="space"):
        index.save(tmp_path)
    monkeypatch.undo()
    assert Index.load(tmp_path, model).names == ("one", "zwei", "three")
    index.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_source_that_fails_leaves_the_index_as_it_was(index: Index) -> None:
    before = len(index), index.names
    with pytest.raises(VideoError):
        index.add("nowhere.mp4")
    with pytest.raises(InputError, match="already"):
        index.add(picture(RED), name="one")
    with pytest.raises(InputError, match="name"):
        index.add(picture(RED))
    assert (len(index), index.names) == before


@pytest.mark.parametrize(("text", "k"), [("", 5), ("red", 0), ("red", -1)])
def test_a_search_for_nothing_is_refused(index: Index, text: str, k: int) -> None:
    with pytest.raises(InputError):
        index.search(text, k)


def test_the_index_of_another_model_is_refused(index: Index, tmp_path: Path) -> None:
    other = load(write_toy_bundle(tmp_path / "other", seed=1), threads=1, precision="f32")
    with pytest.raises(IndexFileError, match=r"index\.json: was made by another model"):
        Index.load(index.save(tmp_path / "index"), other)


def edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        note = json.loads((folder / "index.json").read_text())
        change(note)
        (folder / "index.json").write_text(json.dumps(note))

    return apply


def truncate(folder: Path) -> None:
    file = next(folder.glob("embeddings-*.npy"))
    file.write_bytes(file.read_bytes()[:-4])


def flip(folder: Path) -> None:
    file = next(folder.glob("spans-*.npy"))
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(bytes(data))


def point_outside(note: dict[str, object]) -> None:
    note["arrays"]["spans"]["file"] = "spans-/../../secret.npy"  # type: ignore[index]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "index.json").unlink(),
        lambda folder: (folder / "index.json").write_text("{"),
        lambda folder: (folder / "index.json").write_text("[1]"),
        lambda folder: (folder / "index.json").write_bytes(b"\xff\xfe"),
        lambda folder: next(folder.glob("spans-*.npy")).unlink(),
        truncate,
        flip,
        edit(lambda note: note.update(schema=9)),
        edit(lambda note: note.update(query=None)),
        edit(lambda note: note.update(names=["one"])),
        edit(lambda note: note.update(names=[1, 2, 3])),
        edit(lambda note: note.update(names=["a", "a", "b"])),
        edit(lambda note: note.update(arrays={})),
        edit(lambda note: note.update(arrays={"embeddings": 1, "spans": 2})),
        edit(point_outside),
    ],
)
def test_a_damaged_index_is_refused(
    model: Model, index: Index, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    damage(index.save(tmp_path))
    with pytest.raises(IndexFileError):
        Index.load(tmp_path, model)
