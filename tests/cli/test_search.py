"""`vljepa search` finds moments in a directory, skips what is broken, and keeps its index."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.cli.conftest import COLOURS, Vljepa, write_photo, write_video
from tests.heif import size, write_heic
from tests.toy_bundle import write_toy_bundle
from vljepa_edge import engines
from vljepa_edge.cli import app
from vljepa_edge.engines.base import Graph
from vljepa_edge.engines.process_graph import ProcessGraph
from vljepa_edge.model import Model
from vljepa_edge.store.reader import StoreReader


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos, a photo, a broken video, a hidden one and a text."""
    root = tmp_path / "media"
    (root / "deep").mkdir(parents=True)
    write_video(root / "one.mp4", 4)
    write_video(root / "deep" / "two.mp4", 7)
    write_photo(root / "red.png", COLOURS[0])
    (root / "broken.mp4").write_bytes(b"not a video")
    (root / ".hidden.mp4").write_bytes(b"not a video")
    (root / "notes.txt").write_text("nothing to see")
    return root


def test_hits_are_best_first_and_broken_files_are_counted(vljepa: Vljepa, folder: Path) -> None:
    run = vljepa("search", folder, "--text", "a red ball", "-k", 4, "--json")
    assert run.status == 0, run.err
    found = run.json
    assert list(found) == ["text", "hits", "files", "skipped", "warnings"]
    assert (found["text"], found["files"], found["skipped"]) == ("a red ball", 3, ["broken.mp4"])
    assert len(found["hits"]) == 4
    assert {hit["name"] for hit in found["hits"]} <= {"one.mp4", "deep/two.mp4", "red.png"}
    assert all(list(hit) == ["name", "start", "end", "score"] for hit in found["hits"])
    scores = [hit["score"] for hit in found["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert "1 of 4 files could not be read and were skipped" in run.err
    lines = vljepa("search", folder, "--text", "a red ball", "-k", 2).out.splitlines()
    assert len(lines) == 2


def test_photos_of_phones_are_searched_and_what_can_not_be_read_is_named(vljepa: Vljepa, tmp_path: Path) -> None:
    write_heic(tmp_path / "phone.HEIC", [np.full((64, 64, 3), COLOURS[0], np.uint8)], [size(64, 64)])
    (tmp_path / "phone.mp4").unlink()
    Image.new("RGB", (64, 48), COLOURS[1]).save(tmp_path / "phone.avif")
    (tmp_path / "new.jxl").write_bytes(bytes.fromhex("0000000c4a584c200d0a870a") + bytes(50))
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "folder.mp4").mkdir()
    found = vljepa("search", tmp_path, "--text", "red", "--json").json
    assert (found["files"], found["skipped"]) == (2, ["gone.jpg", "new.jxl"])
    assert {hit["name"] for hit in found["hits"]} == {"phone.HEIC", "phone.avif"}


def test_a_kept_index_is_reused_and_follows_the_folder(vljepa: Vljepa, folder: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"

    def names() -> list[str]:
        run = vljepa("search", folder, "--text", "a red ball", "-k", 50, "--index", index, "--json")
        assert run.status == 0, run.err
        return sorted({hit["name"] for hit in run.json["hits"]})

    assert names() == ["deep/two.mp4", "one.mp4", "red.png"]
    note = json.loads((index / "index.json").read_text())
    assert note["names"] == ["deep/two.mp4", "one.mp4", "red.png"]
    first = vljepa("search", folder, "--text", "a red ball", "--index", index, "--json").json["hits"]
    again = vljepa("search", folder, "--text", "a red ball", "--index", index, "--json").json["hits"]
    assert first == again
    write_photo(folder / "blue.png", COLOURS[2])
    assert names() == ["blue.png", "deep/two.mp4", "one.mp4", "red.png"]
    (folder / "one.mp4").unlink()
    assert names() == ["blue.png", "deep/two.mp4", "red.png"]


def test_what_is_indexed_when_ctrl_c_comes_is_kept(
    vljepa: Vljepa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.tasks.retrieve import Index

    add = Index.add

    def stop_at_the_second(self: Index, source: str, name: str) -> int:
        if len(self.names) == 1:
            raise KeyboardInterrupt
        return add(self, source, name=name)

    monkeypatch.setattr(Index, "add", stop_at_the_second)
    assert vljepa("search", folder, "--text", "a red ball", "--index", tmp_path / "index").status == 130
    assert json.loads((tmp_path / "index" / "index.json").read_text())["names"] == ["deep/two.mp4"]


def test_an_index_of_another_model_is_refused(vljepa: Vljepa, folder: Path, tmp_path: Path) -> None:
    asked = ("search", folder, "--text", "a red ball", "--index", tmp_path / "index")
    assert vljepa(*asked).status == 0
    other = write_toy_bundle(tmp_path / "other", seed=1)
    run = vljepa(*asked, "--model", other)
    assert run.status == 2
    assert "made by another model" in run.err


def test_only_files_that_are_new_or_changed_are_indexed(
    vljepa: Vljepa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.tasks.retrieve import Index

    added: list[str] = []
    add = Index.add

    def count(self: Index, source: str, name: str) -> object:
        added.append(name)
        return add(self, source, name=name)

    monkeypatch.setattr(Index, "add", count)

    def indexed() -> list[str]:
        added.clear()
        assert vljepa("search", folder, "--text", "a red ball", "--index", tmp_path / "index").status == 0
        return added[:]

    assert indexed() == ["broken.mp4", "deep/two.mp4", "one.mp4", "red.png"]
    assert indexed() == ["broken.mp4"]
    os.utime(folder / "one.mp4", ns=(0, 0))
    assert indexed() == ["broken.mp4", "one.mp4"]
    write_photo(folder / "red.png", COLOURS[1])
    (folder / "deep/two.mp4").unlink()
    assert indexed() == ["broken.mp4", "red.png"]
    assert indexed() == ["broken.mp4"]


def test_a_name_that_is_not_utf_8_is_found_like_any_other(vljepa: Vljepa, tmp_path: Path) -> None:
    root = tmp_path / "media"
    root.mkdir()
    write_photo(root / "red.png", COLOURS[0])
    os.rename(root / "red.png", os.fsencode(root) + b"/caf\xe9.png")
    asked = ("search", root, "--text", "a red ball", "--index", tmp_path / "index")
    for _ in range(2):
        run = vljepa(*asked, "--json")
        assert run.status == 0, run.err
        assert [os.fsencode(hit["name"]) for hit in run.json["hits"]] == [b"caf\xe9.png"]
    assert "caf" in vljepa(*asked).out


@pytest.mark.parametrize("text", ["{}", "[1, 2]", "not JSON"])
def test_an_index_json_of_something_else_is_left_alone(text: str, vljepa: Vljepa, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.json").write_text(text)
    run = vljepa("search", folder, "--text", "a red ball", "--index", tmp_path / "site")
    assert run.status == 2 and "index.json" in run.err
    assert [item.name for item in (tmp_path / "site").iterdir()] == ["index.json"]
    assert (tmp_path / "site" / "index.json").read_text() == text


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory, toy: Path, video: Path) -> Path:
    """A store of what the toy bundle saw in nine seconds."""
    folder = tmp_path_factory.mktemp("events")
    run = CliRunner().invoke(app, ["stream", str(video), "--model", str(toy), "--store", str(folder)])
    assert run.exit_code == 0, run.stderr
    return folder


def test_a_store_is_searched_with_nothing_but_the_text_encoder(
    vljepa: Vljepa, events: Path, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Graph] = []

    def note(graph: Graph) -> ProcessGraph:
        compiled.append(graph)
        return ProcessGraph(graph)

    monkeypatch.setattr(engines, "ProcessGraph", note)
    run = vljepa("search", events, "a red ball", "-k", 2, "--json")
    assert run.status == 0, run.err
    (graph,) = compiled  # of the many that a model has
    assert set(graph.inputs) == set(model.graphs["y_encoder"].inputs) and len(model.graphs) > 3
    found = run.json
    assert list(found) == ["text", "hits", "warnings"] and len(found["hits"]) == 2
    assert list(found["hits"][0]) == [
        *("id", "stream", "began_at", "ended_at", "start", "end", "text", "confidence", "query", "kind", "interrupted"),
        *("clip", "clip_start", "score"),
    ]
    expected = StoreReader(events).search(model, "a red ball", 2)
    assert [hit["id"] for hit in found["hits"]] == [moment.id for moment in expected]
    assert [hit["score"] for hit in found["hits"]] == pytest.approx([m.score for m in expected], abs=5e-3)
    assert vljepa("search", events, "--text", "a red ball", "--limit", 2, "--json").json == found
    lines = vljepa("search", events, "a red ball", "-k", 2).out.splitlines()
    assert len(lines) == 2 and "colours" in lines[0]


def test_a_store_is_narrowed_by_stream_and_time(vljepa: Vljepa, events: Path) -> None:
    def count(*words: str) -> int:
        run = vljepa("search", events, "a red ball", "-k", 99, "--json", *words)
        assert run.status == 0, run.err
        return len(run.json["hits"])

    everything = count()
    assert everything >= 2
    assert count("--stream", "colours") == count("--from", "1h") == count("--to", "2200-01-01") == everything
    assert count("--stream", "door") == count("--from", "2200-01-01T12:00+01:00") == count("--to", "1h") == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{events}", "a", "--text", "b"), "give the text once"),
        (("{events}",), "say what to look for"),
        (("{events}", "a", "--index", "i"), "is an event store"),
        (("{events}", "a", "--from", "tomorrow"), "--from must be a time such as 2026-11-29"),
        (("{events}", "a", "--to", "999999999999w"), "--to must be a time that the clock can have"),
        ((".", "a", "--stream", "door"), "--stream is for an event store"),
        ((".", "a", "--from", "1h"), "--from is for an event store"),
    ],
)
def test_what_can_not_be_searched_so_is_refused(
    vljepa: Vljepa, events: Path, words: tuple[str, ...], said: str
) -> None:
    run = vljepa("search", *(word.format(events=events) for word in words))
    assert run.status == 2 and said in run.err


def test_an_index_that_can_not_be_kept_is_said_before_the_work(vljepa: Vljepa, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in ("/proc/index", tmp_path / "file" / "deep" / "index"):
        run = vljepa("search", folder, "a red ball", "--index", place)
        assert run.status == 2 and f"{place}: can't be written" in run.err and "skipped" not in run.err
