"""Checking finds every fault that training would; packing gives the same samples and frames in fewer files."""

from __future__ import annotations

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import webdataset

from tests.media import cut, flat, write_png, write_video
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.check import check
from vljepa_edge.training.data.cut import cut_out
from vljepa_edge.training.data.pack import pack
from vljepa_edge.training.data.recording import Recordings
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.video.stretch import FramePlan, read_frames

PLAN = FramePlan(count=5, width=24, height=16)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Six good samples of three files."""
    long = [flat(k % 200) for k in range(600)]
    write_video(tmp_path / "long.mp4", long, options={"g": "25"})
    write_video(tmp_path / "short.mkv", 20)
    write_png(tmp_path / "photo.png", 40, 30)
    rows = [
        {"path": "long.mp4", "start": 20.0, "end": 22.5, "caption": "one"},
        {"path": "long.mp4", "start": 41.3, "end": 43.0, "caption": "two", "text_key": "2", "negatives": ["no"]},
        {"path": "long.mp4", "caption": "all"},
        {"path": "long.mp4", "start": 57.0, "caption": "the end"},
        {"path": "short.mkv", "end": 1.0, "caption": "short"},
        {"path": "photo.png", "caption": "a photo"},
    ]
    file = tmp_path / "clips.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture
def faulty(table: Path) -> Path:
    """The same with five bad ones."""
    folder = table.parent
    cut(write_video(folder / "cut.mp4", 50), 0.5)
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("words")
    rows = [
        {"path": "cut.mp4", "caption": "x"},
        {"path": "empty.mp4", "caption": "x"},
        {"path": "text.mp4", "caption": "x"},
        {"path": "short.mkv", "start": 5.0, "caption": "x"},
        {"path": "short.mkv", "caption": " "},
    ]
    with open(table, "a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return table


def test_a_good_source_has_no_faults(table: Path) -> None:
    report = check(table)
    assert report.good
    assert (report.samples, report.targets, report.queries) == (6, 6, 0)
    np.testing.assert_allclose(sorted(report.seconds), [0.04, 1.0, 1.7, 2.5, 3.0, 60.0], atol=0.01)


def test_each_fault_is_found_with_its_place(faulty: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    report = check(faulty, on_step=lambda *step: steps.append(step))
    found = {fault.place: fault.reason for fault in report.faults}
    assert {place.split()[1] for place in found} == {"7", "8", "9", "10", "11"}
    assert found["line 11"] == "caption must be a text, got an empty one"
    assert "cut.mp4: cut off or still being written" in found["sample 7"]
    assert "empty.mp4: the file is empty" in found["sample 8"]
    assert "text.mp4: " in found["sample 9"]
    assert "short.mkv: is over after 2.00 s" in found["sample 10"]
    assert {fault.file for fault in report.faults} == {str(faulty)}
    assert steps[-1] == ("samples", 10, 10)
    assert len(report.seconds) == 6


def test_packed_samples_are_the_same(table: Path, tmp_path: Path) -> None:
    packed = pack(table, tmp_path / "packed", samples=4)
    assert (packed.samples, packed.shards, packed.faults) == (6, 2, [])
    assert packed.cut == 3  # Matroska with B-frames can't be cut without encoding
    before, after = open_source(table), open_source(tmp_path / "packed")
    assert len(after) == 6
    for index in range(6):
        one, other = before[index], after[index]
        same = ("key", "target", "query", "text_key", "also", "negatives")
        assert [getattr(one, name) for name in same] == [getattr(other, name) for name in same]
        for plan in (PLAN, FramePlan(count=3, width=24, height=16, rate=5)):
            np.testing.assert_array_equal(before.frames(one, plan), after.frames(other, plan))
    digests = [[Recordings().digest(source[i]) for i in range(6)] for source in (before, after)]
    assert digests[0] == digests[1]  # parts of one video are known as such
    assert len(set(digests[1][:4])) == 1 and len(set(digests[1])) == 3
    size = sum(path.stat().st_size for path in (tmp_path / "packed").glob("*.tar"))
    assert size == packed.bytes
    rows = list(webdataset.WebDataset(sorted(map(str, (tmp_path / "packed").glob("*.tar"))), shardshuffle=False))
    assert len(rows) == 6
    assert len(rows[0]["mp4"]) < len(rows[2]["mp4"]) / 5
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_packing_leaves_out_what_cannot_be_read(faulty: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 11: caption"):
        pack(faulty, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()
    lines = faulty.read_text().splitlines()
    faulty.write_text("\n".join(lines[:10]))
    packed = pack(faulty, tmp_path / "packed")
    assert packed.samples == 6
    assert [fault.place for fault in packed.faults] == [f"sample {number}" for number in (7, 8, 9, 10)]
    with pytest.raises(InputError, match="is there already"):
        pack(faulty, tmp_path / "packed")


def test_packing_that_is_interrupted_leaves_nothing(table: Path, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        pack(table, tmp_path / "packed", on_step=stop)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["a.mp4", "b_frames.mp4", "a.mkv", "a.ts"])
def test_a_part_that_is_cut_out_has_the_same_frames(tmp_path: Path, name: str) -> None:
    options = {"g": "30", "bf": "3" if "b_frames" in name else "0"}
    video = write_video(tmp_path / name, [flat(k % 200) for k in range(400)], options=options)
    for start, end in ((10.0, 12.0), (25.55, 30.15), (0.0, 4.0), (36.0, None)):
        with open(video, "rb") as file:
            part = cut_out(file, name, start, end)
        assert part is not None
        assert len(part.data) < video.stat().st_size / 2
        found = read_frames(BytesIO(part.data), PLAN, part.start, part.end)
        np.testing.assert_array_equal(found, read_frames(video, PLAN, start, end))


def test_a_part_that_is_most_of_a_video_is_not_cut_out(tmp_path: Path) -> None:
    with open(write_video(tmp_path / "a.mp4", 40), "rb") as file:
        assert cut_out(file, "a.mp4", 0.2, 3.9) is None
        assert cut_out(file, "a.mp4", None, None) is None
