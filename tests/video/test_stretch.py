"""Frames of a training sample are, pixel for pixel, frames that the runtime's reader gives for the same file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.media import cut, flat, number_of, write_audio, write_png, write_video
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.video import open_source
from vljepa_edge.video import stretch as module
from vljepa_edge.video.stretch import FramePlan, due_times, duration_of, read_frames

PLAN = FramePlan(count=4, width=32, height=32)


def noise(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Images that change slowly, with a gradient, a numbered corner and colours in them."""
    rng = np.random.default_rng(0)
    base = rng.integers(0, 256, (height // 8, width // 8, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    return [np.roll(base, 3 * number, axis=1) for number in range(count)]


def runtime(path: Path, plan: FramePlan, fps: float | None = None) -> list[tuple[NDArray[np.uint8], float]]:
    """All frames that the runtime sees, with their times."""
    size = (plan.width, plan.height)
    with open_source(path, size=size, resize=plan.resize, fps=fps) as source:  # type: ignore[arg-type]
        return [(frame.image, frame.time) for frame in source]


def expected(path: Path, plan: FramePlan, start: float, end: float, where: float = 0.5) -> NDArray[np.uint8]:
    """What the module's docstring promises, from a complete decode by the runtime."""
    every = runtime(path, plan)
    chosen = []
    for due in due_times(plan, start, end, where):
        inside = [image for image, time in every if due - 1e-3 <= time < end]
        on_show = [image for image, time in every if time < due]
        chosen.append(inside[0] if inside else on_show[-1])
    return np.stack(chosen)


VIDEOS: dict[str, dict[str, Any]] = {
    "h264.mp4": {},
    "b_frames.mp4": {"options": {"bf": "3", "g": "12"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9"},
    "matroska.mkv": {"audio": 9.0},
    "mpeg4.avi": {"codec": "mpeg4"},
    "transport.ts": {"options": {"g": "10"}},
    "rotated.mp4": {"rotation": 90},
    "mirrored.mp4": {"mirrored": True},
    "wide_pixels.mp4": {"aspect": Fraction(2, 1)},
    "full_range.mp4": {"pix_fmt": "yuvj444p"},
}


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize("resize", ["cover", "stretch"])
def test_frames_are_the_runtimes(tmp_path: Path, name: str, resize: str) -> None:
    video = write_video(tmp_path / name, noise(60), **VIDEOS[name])
    plan = FramePlan(count=5, width=40, height=24, resize=resize)
    for start, end in ((0.0, 6.0), (0.55, 2.31), (3.0, 5.0), (4.4, 5.95)):
        found = read_frames(video, plan, start, end)
        assert found.shape == (5, 24, 40, 3)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, expected(video, plan, start, end))


def test_a_rate_gives_what_the_runtimes_grid_gives(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", noise(50))
    grid = [image for image, _ in runtime(video, PLAN, fps=4)]
    assert len(grid) == 20
    found = read_frames(video, replace(PLAN, count=20, rate=4))
    np.testing.assert_array_equal(found, np.stack(grid))
    padded = read_frames(video, replace(PLAN, count=24, rate=4))
    np.testing.assert_array_equal(padded, np.stack([grid[0]] * 4 + grid))  # as the runtime's window is filled


def test_where_moves_the_stretch_of_a_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 60)
    plan = replace(PLAN, count=4, rate=2)  # 2 of 6 seconds
    numbers = {
        where: [number_of(image) for image in read_frames(video, plan, where=where)] for where in (0.0, 0.5, 0.999)
    }
    assert numbers == {0.0: [0, 5, 10, 15], 0.5: [20, 25, 30, 35], 0.999: [40, 45, 50, 55]}


def test_without_a_rate_each_part_gives_its_middle(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 40)
    assert [number_of(image) for image in read_frames(video, PLAN)] == [5, 15, 25, 35]
    assert [number_of(image) for image in read_frames(video, replace(PLAN, count=1), 1.0, 2.0)] == [15]


def test_a_slow_video_gives_frames_again(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 3, fps=1)
    assert [number_of(image) for image in read_frames(video, replace(PLAN, count=6))] == [1, 1, 2, 2, 2, 2]
    assert [number_of(image) for image in read_frames(video, replace(PLAN, count=2), 1.2, 1.8)] == [1, 1]


def test_times_that_are_not_even_are_gone_by(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mkv", 5, times=[0.0, 0.1, 0.2, 3.0, 3.9])
    assert [number_of(image) for image in read_frames(video, PLAN, 0.0, 4.0)] == [3, 3, 3, 4]


def test_only_what_is_near_a_stretch_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", [flat(k % 200) for k in range(3000)], options={"g": "20"})
    stats: list[Any] = []
    made = module.SourceStats
    monkeypatch.setattr(module, "SourceStats", lambda: stats.append(made()) or stats[-1])
    found = read_frames(video, PLAN, 250.0, 260.0)
    assert [number_of(image) for image in found] == [(2500 + k) % 200 for k in (13, 38, 63, 88)]
    assert sum(each.frames_decoded for each in stats) < 150


@pytest.mark.parametrize("name", ["a.mp4", "b_frames.mp4", "a.mkv", "a.avi", "a.ts"])
def test_frames_far_apart_are_sought_one_by_one(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(1000, 32, 32)
    codec = "mpeg4" if name == "a.avi" else "libx264"
    video = write_video(
        tmp_path / name, images, codec=codec, options={"g": "20", "bf": "3" if "b_frames" in name else "0"}
    )
    true = expected(video, PLAN, 3.0, 97.0)
    stats: list[Any] = []
    made = module.SourceStats
    monkeypatch.setattr(module, "SourceStats", lambda: stats.append(made()) or stats[-1])
    np.testing.assert_array_equal(read_frames(video, PLAN, 3.0, 97.0), true)
    if name.endswith("mp4"):
        assert sum(each.frames_decoded for each in stats) < 250


def test_an_index_that_leads_behind_the_place_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = write_video(tmp_path / "a.mp4", 100, options={"g": "10"})
    true = module.Decoder.seek
    monkeypatch.setattr(module.Decoder, "seek", lambda self, seconds: true(self, seconds + 3))
    assert [number_of(image) for image in read_frames(video, PLAN, 5.0, 7.0)] == [53, 58, 63, 68]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.png"])
def test_a_file_object_gives_the_same(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "a.png":
        write_png(path, 50, 40)
    else:
        write_video(path, noise(40), codec="libvpx-vp9" if name == "a.webm" else "libx264")
    (tmp_path / "whole").write_bytes(path.read_bytes())
    with open(tmp_path / "whole", "rb") as file:
        np.testing.assert_array_equal(read_frames(file, PLAN), read_frames(path, PLAN))


def test_a_photo_is_one_frame_again_and_again(tmp_path: Path) -> None:
    photo = write_png(tmp_path / "a.png", 50, 40)
    for plan in (PLAN, replace(PLAN, rate=8)):
        found = read_frames(photo, plan)
        assert found.shape == (4, 32, 32, 3)
        np.testing.assert_array_equal(found, np.stack([runtime(photo, PLAN)[0][0]] * 4))


def test_a_video_without_timestamps_goes_by_its_rate(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.h264", 50, fps=25)
    assert [number_of(image) for image in read_frames(video, PLAN)] == [7, 19, 32, 44]
    assert [number_of(image) for image in read_frames(video, PLAN, 1.0, 1.4)] == [27, 29, 32, 34]
    assert duration_of(video) == pytest.approx(2.0)


def test_an_end_behind_the_videos_is_the_videos(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 40)
    np.testing.assert_array_equal(read_frames(video, PLAN, 1.0, 99.0), read_frames(video, PLAN, 1.0, 4.0))


def test_a_stretch_behind_the_end_is_an_error(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", 40)
    with pytest.raises(VideoError, match=r"a\.mp4: is over after 4\.00 s, before the stretch from 4\.50 s"):
        read_frames(video, PLAN, 4.5, 6.0)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (2.0, 2.0, "must end after it starts, got 2 to 2 s"),
        (3.0, 1.0, "must end after it starts"),
        (-1.0, None, "the start of a stretch must be 0 seconds or more, got -1"),
        (float("nan"), None, "got nan"),
        (0.0, float("inf"), "the end of a stretch"),
    ],
)
def test_a_stretch_that_is_none_is_an_error(tmp_path: Path, start: float, end: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_frames(tmp_path / "a.mp4", PLAN, start, end)


@pytest.mark.parametrize("change", [{"count": 0}, {"width": 0}, {"resize": "crop"}, {"rate": 0.0}, {"rate": np.nan}])
def test_a_plan_that_is_none_is_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        read_frames(tmp_path / "a.mp4", replace(PLAN, **change))


def faststart(path: Path) -> Path:
    return cut(write_video(path, noise(100), container_options={"movflags": "+faststart"}), 0.4)


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing.mp4": lambda path: None,
    "empty.mp4": lambda path: path.write_bytes(b""),
    "text.mp4": lambda path: path.write_text("not a video at all\n" * 100),
    "cut.mp4": lambda path: cut(write_video(path, noise(50)), 0.5),
    "cut_faststart.mp4": faststart,
    "sound.wav": write_audio,
    "no_frames.mp4": lambda path: write_video(path, 0),
    "random.jpg": lambda path: path.write_bytes(np.random.default_rng(0).bytes(5000)),
    "folder.mp4": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_read_is_a_video_error(tmp_path: Path, name: str) -> None:
    BROKEN[name](tmp_path / name)
    with pytest.raises(VideoError, match=name.replace(".", r"\.")):
        read_frames(tmp_path / name, PLAN)


def test_the_part_that_a_cut_file_still_has_is_read(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", noise(100), container_options={"movflags": "+faststart"})
    whole = read_frames(video, PLAN, 0.0, 1.0)
    np.testing.assert_array_equal(read_frames(cut(video, 0.4), PLAN, 0.0, 1.0), whole)
    with pytest.raises(VideoError, match=r"a\.mp4: its frames end at .* s: cut off"):
        read_frames(video, PLAN)


plans = st.builds(
    FramePlan,
    count=st.integers(1, 64),
    width=st.just(8),
    height=st.just(8),
    rate=st.none() | st.floats(0.1, 60),
)


@given(plans, st.floats(0, 1e4), st.floats(1e-3, 1e4), st.floats(0, 1, exclude_max=True))
def test_due_times_rise_within_the_stretch(plan: FramePlan, start: float, length: float, where: float) -> None:
    end = start + length
    due = due_times(plan, start, end, where)
    assert len(due) == plan.count
    assert due == sorted(due)
    assert start <= due[0]
    assert due[-1] < end
    if plan.rate is not None and length >= plan.count / plan.rate:
        np.testing.assert_allclose(np.diff(due), 1 / plan.rate, rtol=1e-6, atol=1e-9)
