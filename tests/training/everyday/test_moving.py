"""Moving crops of drawn photographs: where the frames came from, read from the pixels themselves."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.everyday.moving import MOTIONS, NOTHING, SOMETHING, MovingCrops
from vljepa_edge.training.everyday.queries import CAMERA_QUERIES, CAPTION_QUERIES, STILL_QUERIES
from vljepa_edge.video.stretch import FramePlan

KIND = "vljepa_edge.training.everyday.moving:MovingCrops"
PLAN = FramePlan(6, 64, 48)
WIDTH, HEIGHT = 320, 240
TEXTS = {text: motion for motion, texts in MOTIONS.items() for text in texts}


def ramp() -> NDArray[np.uint8]:
    """A photograph in which each pixel says where it is: red by column, green by row."""
    across = np.linspace(0, 255, WIDTH).round()
    down = np.linspace(0, 255, HEIGHT).round()
    rows, columns = np.broadcast_to(down[:, None], (HEIGHT, WIDTH)), np.broadcast_to(across, (HEIGHT, WIDTH))
    return np.stack([columns, rows, np.full((HEIGHT, WIDTH), 90)], 2).astype(np.uint8)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    rows = []
    for number in range(140):
        name = f"{number}.png"
        if number < 2:
            Image.fromarray(ramp()).save(folder / name)
        else:
            (folder / name).hardlink_to(folder / "0.png")
        rows.append({"path": name, "caption": f"Caption {number}."})
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def windows(frames: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Of each frame (left, top, right, bottom) in parts of the photograph, from the colours of its sides."""
    inner = frames.astype(float)
    left, right = inner[:, :, 1, 0].mean(1), inner[:, :, -2, 0].mean(1)
    top, bottom = inner[:, 1, :, 1].mean(1), inner[:, -2, :, 1].mean(1)
    return np.stack([left, top, right, bottom], 1) / 255


@pytest.mark.parametrize("resize", ["cover", "stretch"])
def test_the_window_goes_as_its_motion_says(table: Path, resize: str) -> None:
    source = MovingCrops(table, stays=0.15)
    seen = Counter[str]()
    for index in range(len(source)):
        motion = source.motion(index)
        if seen[motion] >= 4:
            continue
        seen[motion] += 1
        frames = source.frames(source[index], FramePlan(6, 64, 48, resize))
        assert frames.shape == (6, 48, 64, 3) and frames.dtype == np.uint8
        left, top, right, bottom = windows(frames).T
        x, y, size = (left + right) / 2, (top + bottom) / 2, right - left
        way = {"left": -x, "right": x, "up": -y, "down": y, "in": -size, "out": size}
        if motion == "stays":
            assert np.array_equal(frames, np.repeat(frames[:1], 6, 0))
            continue
        moved = np.diff(way[motion])
        assert (moved > -0.004).all() and moved.sum() > 0.03, (motion, moved)
        for other, along in way.items():
            if other != motion and other not in ("in", "out"):
                assert along[-1] - along[0] < 0.5 * moved.sum() or motion in ("in", "out")
        if motion in ("in", "out"):
            assert np.ptp(x) < 0.02 and np.ptp(y) < 0.02
        else:
            assert np.ptp(size) < 0.02
        assert moved.max() < 3.5 * moved.sum() / 5  # smooth
    assert set(seen) == set(MOTIONS)


def test_frames_are_cut_without_being_stretched(table: Path) -> None:
    source = MovingCrops(table)
    for index in range(6):
        left, top, right, bottom = windows(source.frames(source[index], FramePlan(2, 48, 48)))[0]
        assert (right - left) * WIDTH / ((bottom - top) * HEIGHT) == pytest.approx(1, abs=0.06)


def test_texts_are_of_the_motion(table: Path) -> None:
    source, plain = MovingCrops(table), open_source(table)
    kinds = Counter[str]()
    for index in range(len(source)):
        sample, motion = source[index], source.motion(index)
        if sample.query in CAPTION_QUERIES:
            kinds["caption"] += 1
            assert sample.target == plain[index].target and not sample.negatives
        elif sample.query in STILL_QUERIES:
            kinds["still"] += 1
            assert (sample.target == NOTHING) == (motion == "stays")
            assert {sample.target, *sample.negatives} == {NOTHING, SOMETHING}
        else:
            kinds["camera"] += 1
            assert sample.query in CAMERA_QUERIES and TEXTS[sample.target] == motion
            assert len(sample.negatives) == 4 and all(TEXTS[text] != motion for text in sample.negatives)
            assert sample.text_key == f"camera {motion}"
    assert 45 < kinds["caption"] < 95 and kinds["camera"] > 35 and kinds["still"] > 3
    assert {source.motion(i) for i in range(140)} == set(MOTIONS)


def test_shares(table: Path) -> None:
    assert {MovingCrops(table, stays=1.0).motion(i) for i in range(20)} == {"stays"}
    assert "stays" not in {MovingCrops(table, stays=0.0).motion(i) for i in range(140)}
    source = MovingCrops(table, captions=0.0)
    assert not any(source[i].query in CAPTION_QUERIES for i in range(140))


def test_a_clip_is_the_same_whoever_asks(table: Path) -> None:
    source = open_source({"kind": KIND, "of": {"path": str(table)}, "seed": 4})
    other = pickle.loads(pickle.dumps(source))
    assert [source[i] for i in range(20)] == [other[i] for i in range(20)]
    assert np.array_equal(source.frames(source[3], PLAN), other.frames(other[3], PLAN))
    again = MovingCrops(table, 5)
    assert any(source[i].media.rpartition("/")[2] != again[i].media.rpartition("/")[2] for i in range(20))


def test_each_clip_has_features_of_its_own(table: Path, tmp_path: Path) -> None:
    source = MovingCrops(table)
    cache = FeatureCache(tmp_path / "cache", "encoder", PLAN)
    assert len({cache.key(source[i]) for i in range(50)} | {cache.key(open_source(table)[0])}) == 51


def test_a_count_is_spread_over_the_source(table: Path) -> None:
    source = MovingCrops(table, captions=1.0, count=7)
    assert [source[i].target for i in range(len(source))] == [f"Caption {20 * i}." for i in range(7)]
    with pytest.raises(IndexError):
        source[7]


@pytest.mark.parametrize("plan", [FramePlan(1, 32, 32), FramePlan(3, 32, 32, "cover", 4.0), FramePlan(2, 300, 10)])
def test_any_plan(table: Path, plan: FramePlan) -> None:
    source = MovingCrops(table)
    for index in range(7):
        assert source.frames(source[index], plan).shape == (plan.count, plan.height, plan.width, 3)


def test_what_is_not_allowed(table: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"stays must be a share from 0 to 1, got 1\.5"):
        MovingCrops(table, stays=1.5)
    with pytest.raises(InputError, match="count must be from 1 to the 140 samples there are, got 141"):
        MovingCrops(table, count=141)
    source = MovingCrops(table)
    with pytest.raises(InputError, match="at least 1 frame"):
        source.frames(source[0], FramePlan(0, 8, 8))
    with pytest.raises(VideoError, match="there is no file of it"):
        source.open(source[0])
    (tmp_path / "bad.png").write_bytes(b"no picture")
    (tmp_path / "t.jsonl").write_text(json.dumps({"path": "bad.png", "caption": "A dog."}))
    bad = MovingCrops(tmp_path / "t.jsonl")
    with pytest.raises(VideoError, match=r"bad\.png"):
        bad.frames(bad[0], PLAN)


def test_photographs_in_archives(tmp_path: Path) -> None:
    import io
    import tarfile

    buffer = io.BytesIO()
    Image.fromarray(ramp()).save(buffer, "PNG")
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name, data in (("one.png", buffer.getvalue()), ("one.txt", b"A ramp.")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    source = MovingCrops(tmp_path / "a.tar")
    assert source.frames(source[0], PLAN).shape == (6, 48, 64, 3)
