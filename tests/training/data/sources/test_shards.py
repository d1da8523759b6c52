"""Tars that webdataset writes are read as webdataset reads them, in place."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import webdataset

from tests.media import number_of, write_png, write_video
from vljepa_edge.errors import DataError, VideoError
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.shards import read_shards
from vljepa_edge.training.data.tar_index import MemberFile, members_of, write_index
from vljepa_edge.video.stretch import FramePlan, read_frames

PLAN = FramePlan(count=2, width=16, height=16)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    return write_video(tmp_path / "a.mp4", 40)


def write(pattern: Path, rows: list[dict[str, Any]], most: int = 3) -> None:
    """Shards by webdataset's own writer; a folder in a key becomes one in the archive."""
    with webdataset.ShardWriter(str(pattern), maxcount=most, verbose=0) as writer:
        for row in rows:
            writer.write(row)


def test_what_webdataset_writes_is_read(tmp_path: Path, video: Path) -> None:
    rows = [
        {
            "__key__": f"part/{i:04}",
            "mp4": video.read_bytes(),
            "json": {"caption": f"text {i}", "start": i / 10, "fps": 30},
        }
        for i in range(8)
    ]
    write(tmp_path / "s-%03d.tar", rows)
    (tmp_path / ".part.s-003.tar").write_bytes(b"half a download")
    source = read_shards(tmp_path)
    assert len(source) == 8
    theirs = webdataset.WebDataset([str(path) for path in sorted(tmp_path.glob("s-*.tar"))], shardshuffle=False)
    for index, row in enumerate(theirs):
        sample = source[index]
        assert sample.key == row["__key__"]
        assert sample.target == json.loads(row["json"])["caption"]
        assert sample.start == index / 10
        assert sample.media == f"{tmp_path}/s-{index // 3:03}.tar::part/{index:04}.mp4"
        with source.open(sample) as file:
            assert file.read() == row["mp4"]
        np.testing.assert_array_equal(source.frames(sample, PLAN), read_frames(video, PLAN, index / 10))


def test_images_with_text_beside_them(tmp_path: Path) -> None:
    photo = write_png(tmp_path / "a.png", 30, 20).read_bytes()
    write(tmp_path / "%d.tar", [{"__key__": "a", "png": photo, "txt": " a cat\n"}])
    source = read_shards(tmp_path / "0.tar")
    assert (source[0].target, source[0].query, source[0].key) == ("a cat", "", "a")
    assert source.frames(source[0], PLAN).shape == (2, 16, 16, 3)


def test_questions_and_all_that_a_row_may_have(tmp_path: Path, video: Path) -> None:
    row = {
        "question": "what?",
        "answer": "a dog",
        "start": 1.0,
        "end": 2.0,
        "text_key": "dog",
        "negatives": ["a cat"],
        "also": ["an animal"],
    }
    write(tmp_path / "%d.tar", [{"__key__": "a", "mp4": video.read_bytes(), "json": row}])
    source = read_shards(tmp_path)
    found = source[0]
    assert (found.query, found.target, found.start, found.end) == ("what?", "a dog", 1.0, 2.0)
    assert (found.text_key, found.negatives, found.also) == ("dog", ("a cat",), ("an animal",))
    assert [number_of(image) for image in source.frames(found, PLAN)] == [13, 18]


def test_members_that_make_no_sample_are_counted(tmp_path: Path, video: Path) -> None:
    data = video.read_bytes()
    rows = [
        {"__key__": "a", "mp4": data, "txt": "x"},
        {"__key__": "b", "mp4": data},
        {"__key__": "c", "txt": "x"},
        {"__key__": "d", "mp4": data, "json": {"url": "somewhere"}},
    ]
    write(tmp_path / "%d.tar", rows)
    source = read_shards(tmp_path)
    assert len(source) == 1
    assert source.left_out == {"members without a text": 2, "members without a video or image": 1}


def test_an_index_beside_a_tar_is_used_while_it_is_of_that_tar(tmp_path: Path, video: Path) -> None:
    write(tmp_path / "%d.tar", [{"__key__": "a", "mp4": video.read_bytes(), "txt": "x"}])
    archive = tmp_path / "0.tar"
    scanned = members_of(archive)
    index = write_index(archive)
    assert members_of(archive) == scanned
    content = json.loads(index.read_text())
    content["members"][0][0] = "renamed.mp4"
    index.write_text(json.dumps(content))
    assert members_of(archive)[0].name == "renamed.mp4"  # so it was read
    write(tmp_path / "%d.tar", [{"__key__": "b", "mp4": video.read_bytes() * 30, "txt": "x"}])
    assert members_of(archive)[0].name == "b.mp4"
    index.write_text("nothing")
    with pytest.raises(DataError, match="is not the index of a tar"):
        members_of(archive)


def test_an_index_of_another_tar_of_the_same_size_is_not_used(tmp_path: Path) -> None:
    """Tars are padded to 10,240 bytes, so one that was written again is often as long as before."""
    archive, photo = tmp_path / "0.tar", write_png(tmp_path / "a.png", 30, 20).read_bytes()
    sizes = set()
    for texts in (["a robot", "a cup"], ["a robot " * 70, "a red cup"]):
        rows = [{"__key__": str(i), "png": photo, "txt": text} for i, text in enumerate(texts)]
        write(tmp_path / "%d.tar", rows)
        source = read_shards(archive)
        assert [source[i].target for i in range(2)] == [text.strip() for text in texts]
        write_index(archive)
        sizes.add(archive.stat().st_size)
    assert len(sizes) == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"caption": "x", "start": 3, "end": 2}, r"0\.tar, member k: end must come after start"),
        ({"caption": 7}, r"0\.tar, member k: caption must be a text, got 7"),
        ({"caption": "x", "start": "soon"}, "start must be seconds"),
        ([1], r"0\.tar, member k\.json: must be a JSON object, got list"),
    ],
)
def test_a_row_that_is_not_allowed_is_an_error(tmp_path: Path, video: Path, row: Any, said: str) -> None:
    write(tmp_path / "%d.tar", [{"__key__": "k", "mp4": video.read_bytes(), "json": row}])
    with pytest.raises(DataError, match=said):
        read_shards(tmp_path)


def test_what_is_no_tar_is_an_error(tmp_path: Path, video: Path) -> None:
    write(tmp_path / "%d.tar", [{"__key__": "a", "mp4": video.read_bytes(), "txt": "x"}])
    archive = tmp_path / "0.tar"
    whole = archive.read_bytes()
    for name, content, said in (
        ("text.tar", b"no tar at all" * 100, "is not a tar that can be read in place"),
        ("cut.tar", whole[: len(whole) // 3], "is not a tar|is cut off"),
        ("empty.tar", b"", "is not a tar|there are no samples"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_shards(tmp_path / name)
    with tarfile.open(tmp_path / "compressed.tar", "w:gz") as tar:
        tar.add(video)
    with pytest.raises(DataError, match="must not be compressed"):
        read_shards(tmp_path / "compressed.tar")


def test_a_corrupt_member_is_a_video_error_that_names_it(tmp_path: Path, video: Path) -> None:
    rows = [
        {"__key__": "a", "mp4": video.read_bytes()[:900], "txt": "x"},
        {"__key__": "b", "mp4": b"", "txt": "x"},
        {"__key__": "c", "jpg": b"text", "txt": "x"},
    ]
    write(tmp_path / "%d.tar", rows)
    source = read_shards(tmp_path)
    for index, name in enumerate(("a.mp4", "b.mp4", "c.jpg")):
        with pytest.raises(VideoError, match=rf"0\.tar::{name}: "):
            source.frames(source[index], PLAN)
    with pytest.raises(VideoError, match="not one of this archive's"):
        source.frames(Sample("a", "a", "x"), PLAN)


def test_a_source_goes_to_other_processes(tmp_path: Path, video: Path) -> None:
    write(tmp_path / "%d.tar", [{"__key__": "a", "mp4": video.read_bytes(), "txt": "x"}])
    source = read_shards(tmp_path)
    copy = pickle.loads(pickle.dumps(source))
    assert copy[0] == source[0]
    np.testing.assert_array_equal(copy.frames(copy[0], PLAN), source.frames(source[0], PLAN))


def test_a_member_is_a_file_that_can_seek(tmp_path: Path) -> None:
    data = bytes(range(256)) * 5
    (tmp_path / "a").write_bytes(b"before" + data + b"after")
    with MemberFile(tmp_path / "a", 6, len(data)) as member:
        mirror = io.BytesIO(data)
        for place, whence, count in ((0, 0, 10), (5, 1, 7), (-20, 2, 100), (1000, 0, 1000), (9999, 0, 3), (3, 0, -1)):
            assert member.seek(place, whence) == mirror.seek(place, whence)
            assert member.read(count) == mirror.read(count)
            assert member.tell() == mirror.tell()
