"""A mirror's copies are taken only where they can be trusted to be of the originals that the list names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.everyday.conftest import SAID, World, photo
from vljepa_edge.errors import DataError
from vljepa_edge.training.everyday.mirror import copy_set
from vljepa_edge.training.everyday.originals import originals


def change(mirror: Path, name: str, place: int, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a line of a set's manifest."""
    manifest = mirror / name / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    edit(rows[place])
    manifest.write_text("\n".join(map(json.dumps, rows)))


def names(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.rglob("*.*"))


def test_photographs_may_be_encoded_again_and_clips_are_the_originals(world: World, tmp_path: Path) -> None:
    mirror, out = world.mirror(tmp_path / "mirror"), tmp_path / "out"
    seen: list[tuple[int, int]] = []
    texts, faults = copy_set(mirror, "coco", originals(["coco"]), out, lambda *step: seen.append(step))
    assert (faults, seen) == ([], [(1, 4), (2, 4), (3, 4), (4, 4)])
    assert names(out) == [f"{number:012}.webp" for number in range(4)]
    assert list(texts.values()) == [SAID["coco"][0], ["Two dogs run"], *SAID["coco"][2:]]
    texts, faults = copy_set(mirror, "video_droid", originals(["video_droid"]), out)
    assert faults == []
    assert [(out / item.file).read_bytes() for item in originals(["video_droid"])] == world.contents[7:11]
    assert list(texts.values()) == SAID["video_droid"]


def test_an_original_photograph_keeps_its_name(world: World, tmp_path: Path) -> None:
    mirror = world.mirror(tmp_path / "mirror")
    (mirror / "coco" / "images" / "000000000000.webp").write_bytes(world.contents[0])  # whatever it is called there
    copy_set(mirror, "coco", originals(["coco"]), tmp_path / "out")
    assert names(tmp_path / "out")[0] == "000000000000.jpg"


def test_a_copy_that_is_there_is_not_read_again(world: World, tmp_path: Path) -> None:
    mirror, out = world.mirror(tmp_path / "mirror"), tmp_path / "out"
    for name in ("coco", "video_droid"):
        copy_set(mirror, name, originals([name]), out)
    before = {place: place.stat().st_mtime_ns for place in out.rglob("*.*")}
    for name in ("coco", "video_droid"):
        assert copy_set(mirror, name, originals([name]), out)[1] == []
    assert {place: place.stat().st_mtime_ns for place in out.rglob("*.*")} == before


def test_what_is_damaged_is_said_and_not_copied(world: World, tmp_path: Path) -> None:
    mirror, out = world.mirror(tmp_path / "mirror"), tmp_path / "out"
    cut = mirror / "coco" / "images" / "000000000000.webp"
    cut.write_bytes(photo(0, "WEBP")[:-200])
    (mirror / "coco" / "images" / "000000000001.webp").unlink()
    change(mirror, "coco", 2, lambda row: row.update(sha256_original="0" * 64))
    change(mirror, "coco", 3, lambda row: row.update(path="data/another.jpg"))
    texts, faults = copy_set(mirror, "coco", originals(["coco"]), out)
    assert len(faults) == 4
    assert faults[0].file == str(cut)
    assert "can't be opened" in faults[1].reason or "no such file" in faults[1].reason.lower()
    assert faults[2] == ("coco/images/000000000002.jpg", f"is of another original ({'0' * 64})")
    assert faults[3] == (
        "coco/images/000000000003.jpg", f"is not in {mirror / 'coco' / 'manifest.jsonl'}"
    )  # fmt: skip
    assert names(out) == []
    assert list(texts) == ["images/000000000000.jpg", "images/000000000001.jpg"]


def test_a_clip_that_is_not_the_original_is_not_taken(world: World, tmp_path: Path) -> None:
    mirror = world.mirror(tmp_path / "mirror")
    clip = mirror / "video_droid" / "clips" / "1.mp4"
    clip.write_bytes(clip.read_bytes() + b"x")
    (mirror / "video_droid" / "clips" / "2.mp4").unlink()
    faults = copy_set(mirror, "video_droid", originals(["video_droid"]), tmp_path / "out")[1]
    assert [fault.reason for fault in faults] == ["is not the original (another SHA-256)", "is not there"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 1: is not as a mirror's manifest must be"),
        ("[]", "line 1: is not as a mirror's manifest must be"),
        ('{"file": "a"}', "line 1: is not as a mirror's manifest must be .*source_repo"),
        ('{"file": "../../key", "source_repo": "a", "commit": "b", "path": "c", "sha256_original": "d"}',
         "line 1: file must lie in the mirror, got ../../key"),
        ('{"file": "a", "source_repo": 1, "commit": "b", "path": "c", "sha256_original": "d"}', "must be a text"),
        ('{"file": "a", "source_repo": "r", "commit": "b", "path": "c", "sha256_original": "d", "captions": [1]}',
         "must be a text"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_none_is_named(line: str, said: str, world: World, tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / "manifest.jsonl").write_text(line)
    with pytest.raises(DataError, match=said):
        copy_set(tmp_path, "coco", originals(["coco"]), tmp_path / "out")


def test_a_manifest_that_is_not_there_is_named(world: World, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"manifest\.jsonl: can't be read \(No such file"):
        copy_set(tmp_path, "coco", originals(["coco"]), tmp_path / "out")
