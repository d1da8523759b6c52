"""A place that can't be written is told before the work, by the name that was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa
from vljepa_edge.cli.place import check_place, make_folder
from vljepa_edge.errors import InputError

SAVING = {
    "embed": ("embed", "--text", "a red ball", "--out"),
    "query": ("query", "What?", "--out"),
    "labels": ("labels", "cup,person", "--out"),
    "eval card": ("eval", "card", "--out"),
    "calibrate": ("calibrate", "mine.vljepa", "--data", "captions.jsonl", "--picture"),
}


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for at in ("vljepa_edge.model.load", "vljepa_edge.bundle.store.Bundle.open"):
        monkeypatch.setattr(at, lambda *_, **__: pytest.fail("it was loaded"))


@pytest.mark.usefixtures("unloaded")
@pytest.mark.parametrize("words", SAVING.values(), ids=SAVING)
def test_a_command_says_so_before_it_loads_a_model(vljepa: Vljepa, tmp_path: Path, words: tuple[str, ...]) -> None:
    run = vljepa(*words, tmp_path / "missing" / "out.npz")
    assert run.status == 2 and run.err == f"error: {words[-1]}: {tmp_path / 'missing'} is no folder; make it first\n"
    run = vljepa(*words, tmp_path)
    assert run.status == 2 and f"must be a file, got the folder {tmp_path}" in run.err
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("unloaded")
def test_an_embedding_does_not_replace_its_source(vljepa: Vljepa, photo: Path) -> None:
    run = vljepa("embed", photo, "--out", photo)
    assert run.status == 2 and "--out must be another file than the source" in run.err


@pytest.mark.usefixtures("unloaded")
def test_a_folder_of_figures_is_made_before_the_hours_that_they_take(vljepa: Vljepa, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    run = vljepa("eval", "selective", "--out", tmp_path / "file")
    assert run.status == 2 and "--out must be a folder, got the file" in run.err
    run = vljepa("eval", "selective", "--out", tmp_path / "file" / "in")
    assert run.status == 2 and "can't be written: Not a directory" in run.err


def test_places_that_can_be_written_are_left_as_they_are(tmp_path: Path) -> None:
    there = tmp_path / "there.npy"
    there.write_text("old")
    for place in (there, tmp_path / "new.npy", Path("/dev/null")):
        check_place(place)
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert there.read_text() == "old" and sorted(path.name for path in tmp_path.iterdir()) == ["a", "there.npy"]
    with pytest.raises(InputError, match="--to: /proc/a can't be written"):
        check_place(Path("/proc/a"), option="--to")
