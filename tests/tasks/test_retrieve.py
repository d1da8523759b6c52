"""An index finds the windows nearest to a text, before and after it was on disk, and trusts nothing it reads."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.media import write_png
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


def test_what_was_removed_is_as_if_it_had_never_been_added(model: Model, index: Index, tmp_path: Path) -> None:
    loaded = Index.load(index.save(tmp_path), model)
    loaded.add(picture(RED), name="four")
    loaded.remove("zwei", "one")
    expected = Index(model)
    expected.add(scenes(GREEN, BLUE, seconds=3), name="three")
    expected.add(picture(RED), name="four")
    assert loaded.names == expected.names and len(loaded) == len(expected)
    assert_same_hits(loaded, expected)
    assert_same_hits(Index.load(loaded.save(tmp_path), model), expected)
    loaded.remove(*loaded.names)
    assert len(loaded) == 0 and loaded.search("red") == []
    with pytest.raises(InputError, match="'one' is not in the index"):
        loaded.remove("one")


def test_an_index_knows_the_files_that_it_was_made_of(model: Model, tmp_path: Path) -> None:
    Image.fromarray(picture(RED)).save(tmp_path / "red.png")
    index = Index(model)
    index.add(tmp_path / "red.png", name="red")
    index.add(picture(RED), name="array")
    status = (tmp_path / "red.png").stat()
    assert index.stamps == {"red": (status.st_size, status.st_mtime_ns), "array": None}
    assert Index.load(index.save(tmp_path / "index"), model).stamps == index.stamps


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


def test_a_user_s_own_files_are_neither_replaced_nor_removed(model: Model, index: Index, tmp_path: Path) -> None:
    own = ("embeddings-mine.npy", "spans-2024.npy", "embeddings-0123456789abcdeg.npy", "notes.json")
    for name in own:
        (tmp_path / name).write_text("mine")
    index.save(tmp_path)
    index.save(tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in own)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").write_text('{"pages": []}')
    with pytest.raises(IndexFileError, match="not the note of an index"):
        index.save(tmp_path / "site")
    assert [item.name for item in (tmp_path / "site").iterdir()] == ["index.json"]


def test_an_index_of_0_8_0_is_read_and_replaced(model: Model, index: Index, tmp_path: Path) -> None:
    """Its arrays had shorter names, and it kept no stamps."""
    index.save(tmp_path)
    note = json.loads((tmp_path / "index.json").read_text())
    del note["stamps"]
    for kind, entry in note["arrays"].items():
        (tmp_path / entry["file"]).rename(tmp_path / f"{kind}-0a1b2c3d.npy")
        entry["file"] = f"{kind}-0a1b2c3d.npy"
    (tmp_path / "index.json").write_text(json.dumps(note))
    loaded = Index.load(tmp_path, model)
    assert_same_hits(loaded, index)
    loaded.save(tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("name", ["caf\udce9.jpg", "\ud800", "a\nb", "\0", ""])
def test_any_name_survives(name: str, model: Model, tmp_path: Path) -> None:
    index = Index(model)
    index.add(picture(RED), name=name)
    assert Index.load(index.save(tmp_path), model).names == (name,)


def test_readers_see_one_of_the_saved_indexes_and_two_writers_never_mix(
    model: Model, index: Index, tmp_path: Path
) -> None:
    other = Index(model)
    other.add(picture(RED), name="only")
    sizes = {index.names: len(index), other.names: len(other)}
    index.save(tmp_path)
    faults: list[Exception] = []
    ends = time.monotonic() + 1.5

    def write(mine: Index) -> None:
        while time.monotonic() < ends:
            try:
                mine.save(tmp_path)
            except Exception as error:
                faults.append(error)

    writers = [threading.Thread(target=write, args=(mine,)) for mine in (index, other)]
    for writer in writers:
        writer.start()
    reads = 0
    while any(writer.is_alive() for writer in writers):
        loaded = Index.load(tmp_path, model)
        assert sizes[loaded.names] == len(loaded)
        reads += 1
    for writer in writers:
        writer.join()
    assert not faults and reads > 3
    assert len(list(tmp_path.iterdir())) == 3


def test_a_writer_that_is_killed_leaves_an_index_and_its_rest_goes_with_the_next_save(
    model: Model, index: Index, tmp_path: Path
) -> None:
    """The child saves over and over until it is killed, wherever it is then."""
    index.save(tmp_path / "index")
    script = f"""
import numpy as np
from pathlib import Path
from typing import Any
from vljepa_edge.tasks.index_folder import write_index
arrays = {{"embeddings": np.ones((200, 16), np.float32), "spans": np.zeros((200, 3))}}
note = {{"bundle": "{model.bundle.digest}", "query": "q", "names": ["child"], "stamps": [None]}}
print("ready", flush=True)
while True:
    write_index(Path("{tmp_path / "index"}"), note, arrays)
"""
    for delay in (0.0, 0.013, 0.031):
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as child:
            assert child.stdout is not None and child.stdout.readline()
            time.sleep(delay)
            child.kill()
        assert Index.load(tmp_path / "index", model).names in (index.names, ("child",))
    index.save(tmp_path / "index")
    assert Index.load(tmp_path / "index", model).names == index.names
    assert len(list((tmp_path / "index").glob("*.npy"))) == 2


def header(text: bytes) -> Callable[[Path], None]:
    """An honest hash over an array whose header is not what NumPy writes."""

    def apply(folder: Path) -> None:
        note = json.loads((folder / "index.json").read_text())
        file = folder / note["arrays"]["spans"]["file"]
        data = file.read_bytes()
        file.write_bytes(data[:10] + text.ljust(117) + b"\n" + data[128:])
        note["arrays"]["spans"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "index.json").write_text(json.dumps(note))

    return apply


def values(value: float, column: int) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        note = json.loads((folder / "index.json").read_text())
        file = folder / note["arrays"]["spans"]["file"]
        spans = np.load(file)
        spans[0, column] = value
        np.save(file, spans)
        note["arrays"]["spans"]["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        (folder / "index.json").write_text(json.dumps(note))

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        header(b"{'descr': ',f4', 'fortran_order': False, 'shape': (2, 3), }"),
        header(b"{'descr\xff: '<f8', 'fortran_o\xfeder': F"),
        header(b"{'descr': '<f8', 'fortran_order': True, 'shape': (2, 3), }"),
        header(b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }"),
        header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999, 3), }"),
        header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 3), }"),
        header(b""),
        values(float("nan"), 1),
        values(float("inf"), 2),
        values(0.5, 0),
        values(-1, 0),
        values(1e300, 0),
        values(1e9, 1),
        edit(lambda note: note.update(query="\ud800")),
        edit(lambda note: note.update(stamps=[])),
        edit(lambda note: note.update(stamps={})),
        lambda folder: (folder / "index.json").write_text("[" * 100_000),
        lambda folder: (folder / "index.json").write_text("1" * 10_000),
    ],
)
def test_an_index_with_honest_hashes_over_nonsense_is_refused(
    damage: Callable[[Path], object], model: Model, index: Index, tmp_path: Path
) -> None:
    damage(index.save(tmp_path))
    with pytest.raises(IndexFileError):
        Index.load(tmp_path, model)


@pytest.mark.parametrize("stamp", [[1], [1, 2, 3], ["1", 2], [True, 2], 5, {"a": 1}])
def test_a_stamp_that_says_nothing_counts_as_none(stamp: object, model: Model, index: Index, tmp_path: Path) -> None:
    edit(lambda note: note.update(stamps=[stamp] * 3))(index.save(tmp_path))
    assert set(Index.load(tmp_path, model).stamps.values()) == {None}


def rows(count: int) -> NDArray[np.float32]:
    """Random embeddings of unit norm."""
    random = np.random.default_rng(11).standard_normal((count, 16)).astype(np.float32)
    return random / np.linalg.norm(random, axis=1, keepdims=True)


def test_windows_of_a_live_stream_are_found_and_forgotten(model: Model, tmp_path: Path) -> None:
    """Against a plain list, which is searched by hand."""
    index = Index(model)
    index.add(picture(BLUE), name="blue")
    windows = [(("door", "yard")[n % 3 == 0], 10.0 * n, 10.0 * n + 2, row) for n, row in enumerate(rows(300))]
    wanted = model.embed_text(["a red ball"])[0]
    for count, (name, start, end, row) in enumerate(windows, 1):
        index.append(name, start, end, row)
        if count % 50 == 0:
            gone = index.forget("door", before=end - 400)
            kept = [w for w in windows[:count] if w[0] == "yard" or w[2] >= end - 400]
            assert gone > 0 or count == 50
            assert len(index) == 1 + len(kept)
            best = sorted(kept, key=lambda w: -float(w[3] @ wanted))[:5]
            hits = [hit for hit in index.search("a red ball", 6) if hit.name != "blue"][:5]
            assert [(hit.name, hit.start, hit.end) for hit in hits] == [w[:3] for w in best]
    assert len(index._spans) < 12  # a few parts, however many windows came
    index.save(tmp_path / "index")
    again = Index.load(tmp_path / "index", model)
    assert_same_hits(again, index)
    again.append("door", 1e6, 1e6 + 2, rows(1)[0])
    assert again.forget("door", before=1e6) == sum(1 for w in kept if w[0] == "door")
    assert again.names == ("blue", "yard", "door") and len(again) == 1 + 100 + 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"name": 7}, "name must be"),
        ({"name": "{file}"}, "that no file of the index has"),
        ({"start": 3.0}, "in order"),
        ({"end": float("inf")}, "must be finite"),
        ({"start": "now"}, "start must be a number"),
        ({"embedding": np.zeros(16, np.float32)}, "unit norm"),
        ({"embedding": np.full(16, np.nan, np.float32)}, "unit norm"),
        ({"embedding": np.ones(15, np.float32)}, "must be 16 numbers"),
    ],
)
def test_a_window_that_is_none_is_refused_and_changes_nothing(
    index: Index, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    file = write_png(tmp_path / "photo.png", 64, 48)
    index.add(file)
    before = (len(index), index.names)
    given = {"name": "door", "start": 1.0, "end": 2.0, "embedding": rows(1)[0]} | changed
    given["name"] = str(file) if given["name"] == "{file}" else given["name"]
    with pytest.raises(InputError, match=said):
        index.append(**given)
    assert (len(index), index.names) == before


def test_only_what_is_there_can_be_forgotten(index: Index) -> None:
    with pytest.raises(InputError, match="'nosuch' is not in the index"):
        index.forget("nosuch", 1.0)
    assert index.forget("one", 0.0) == 0 and index.forget("one", 1e9) > 0
    assert "one" in index.names and all(hit.name != "one" for hit in index.search("a red ball", 9))
