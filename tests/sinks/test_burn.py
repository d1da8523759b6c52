"""A video with captions in the picture, read back by FFmpeg: its pictures, times and sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import cut, write_audio, write_png, write_video
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.sinks.burn import burn_captions, check_burnable
from vljepa_edge.sinks.captions import Cue
from vljepa_edge.video.source import open_source

Image = NDArray[np.uint8]
CUES = [Cue(500, 1000, ("a dog runs",)), Cue(1000, 1500, ("a dog runs", "to the left")), Cue(1750, 9000, ("a cat",))]


def frames(path: Path) -> list[tuple[Image, float]]:
    return [(frame.image, frame.time) for frame in open_source(path)]


def sound(path: Path) -> list[tuple[float, bytes]]:
    """Seconds and bytes of the packets of a sound."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        return [(float(packet.pts * packet.time_base), bytes(packet)) for packet in packets]  # type: ignore[operator]


def captioned(image: Image, plain: Image) -> bool:
    """Whether there is white and dark at the bottom that was not there; the upper half must be as it was."""
    assert np.abs(image[: len(image) // 2].astype(int) - plain[: len(image) // 2]).mean() < 4
    lower, before = image[len(image) // 2 :].astype(int), plain[len(image) // 2 :].astype(int)
    return bool(np.abs(lower - before).max() > 60)


def scenes(count: int, width: int = 320, height: int = 240) -> list[Image]:
    colours = [(200, 60, 40), (60, 180, 90)]
    return [np.full((height, width, 3), colours[number // 10 % 2], np.uint8) for number in range(count)]


def test_captions_are_in_the_picture_exactly_while_they_are_to_be(tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mp4", scenes(20), fps=10, audio=2.0)
    told: list[tuple[int, int]] = []
    burn_captions(str(source), CUES, tmp_path / "out.mp4", lambda done, total: told.append((done, total)))
    before, after = frames(source), frames(tmp_path / "out.mp4")
    assert [time for _, time in after] == pytest.approx([time for _, time in before], abs=1e-4)
    assert [captioned(a, b) for (a, _), (b, _) in zip(after, before, strict=True)] == [
        any(cue.start <= round(1000 * time) < cue.end for cue in CUES) for _, time in before
    ]
    assert sound(tmp_path / "out.mp4") == sound(source) and len(sound(source)) > 10
    assert told[0] == (0, 2) and told[-1] == (1, 2) and told == sorted(told)


def test_without_cues_the_pictures_are_those_of_the_source(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    smooth = [np.kron(rng.integers(30, 220, (6, 8, 3)), np.ones((20, 20, 1))).astype(np.uint8) for _ in range(4)]
    source = write_video(tmp_path / "clip.mp4", smooth, fps=4, options={"crf": "5"})
    burn_captions(str(source), [], tmp_path / "out.mp4")
    for (after, _), (before, _) in zip(frames(tmp_path / "out.mp4"), frames(source), strict=True):
        assert np.abs(after.astype(int) - before).mean() < 4


@pytest.mark.parametrize("height", [240, 720])
def test_colours_stay_as_they_are(tmp_path: Path, height: int) -> None:
    """720 lines are BT.709 without a tag, 240 are BT.601."""
    colours = [(250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20)]
    images = [np.full((height, 320, 3), colour, np.uint8) for colour in colours]
    source = write_video(tmp_path / "clip.mkv", images, fps=4, codec="ffv1", pix_fmt="yuv444p")
    burn_captions(str(source), [], tmp_path / "out.mp4")
    for (after, _), (before, _) in zip(frames(tmp_path / "out.mp4"), frames(source), strict=True):
        assert np.abs(after.astype(int) - before).max() <= 6


def test_frames_keep_uneven_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.3, 0.301, 1.7, 1.75]
    source = write_video(tmp_path / "clip.mkv", scenes(6), times=times)
    burn_captions(str(source), CUES, tmp_path / "out.mp4")
    assert [time for _, time in frames(tmp_path / "out.mp4")] == pytest.approx(times, abs=0.002)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"rotation": 90}, (240, 320)),
        ({"rotation": 180, "mirrored": True}, (320, 240)),
        ({"aspect": Fraction(3, 2)}, (480, 240)),
        ({"codec": "ffv1", "pix_fmt": "bgr0"}, (320, 240)),
    ],
)
def test_the_picture_is_upright_with_square_pixels(
    tmp_path: Path, options: dict[str, Any], size: tuple[int, int]
) -> None:
    image = scenes(1)[0]
    image[:60, :80] = 255  # the corner that is up and left in the file
    suffix = ".mkv" if "codec" in options else ".mp4"
    source = write_video(tmp_path / f"clip{suffix}", [image] * 4, fps=4, **options)
    burn_captions(str(source), [], tmp_path / "out.mp4")
    after = frames(tmp_path / "out.mp4")[0][0]
    assert after.shape[1::-1] == size
    expected = next(open_source(source, size=size, resize="stretch")).image
    assert np.abs(after.astype(int) - expected).mean() < 3


def test_odd_sides_lose_a_pixel(tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mkv", scenes(3, 65, 49), codec="ffv1", pix_fmt="bgr0")
    burn_captions(str(source), CUES, tmp_path / "out.mp4")
    assert frames(tmp_path / "out.mp4")[0][0].shape == (48, 64, 3)


@pytest.mark.parametrize("suffix", [".ts", ".mkv", ".mov"])
def test_sound_is_in_time_where_the_file_does_not_begin_at_zero(tmp_path: Path, suffix: str) -> None:
    late = {"output_ts_offset": "5"}
    source = write_video(tmp_path / f"clip{suffix}", scenes(20), fps=10, audio=2.0, container_options=late)
    with av.open(str(source)) as container:
        assert (container.start_time or 0) / av.time_base > 4
    burn_captions(str(source), CUES, tmp_path / "out.mp4")
    first = frames(source)[0][1]
    assert frames(tmp_path / "out.mp4")[0][1] == pytest.approx(first, abs=0.01)
    before, after = sound(source), sound(tmp_path / "out.mp4")
    assert len(after) == len(before)
    with av.open(str(source)) as container:
        begin = min(float(p.pts * p.time_base) for p in container.demux(video=0) if p.pts is not None)  # type: ignore
    assert after[5][0] - first == pytest.approx(before[5][0] - begin, abs=0.03)


def test_sound_that_mp4_does_not_hold_is_named_and_left_out(tmp_path: Path) -> None:
    source = tmp_path / "clip.mkv"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        voice = container.add_stream("pcm_s16le", rate=8000)
        for number in range(10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(scenes(1, 64, 48)[0], format="rgb24")))
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts, samples.time_base = 8000, 800 * number, Fraction(1, 8000)
            container.mux(voice.encode(samples))
        container.mux(stream.encode())
    assert check_burnable(str(source)) == "pcm_s16le"
    burn_captions(str(source), CUES, tmp_path / "out.mp4")
    assert len(frames(tmp_path / "out.mp4")) == 10
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_a_file_that_was_cut_off_is_written_as_far_as_it_goes(tmp_path: Path) -> None:
    source = cut(write_video(tmp_path / "clip.mkv", scenes(40), fps=10, audio=4.0), 0.6)
    burn_captions(str(source), CUES, tmp_path / "out.mp4")
    with pytest.warns(UserWarning):
        before = frames(source)
    assert 2 < len(before) < 40
    assert len(frames(tmp_path / "out.mp4")) == len(before)


def test_a_photo_is_a_video_of_one_frame(tmp_path: Path) -> None:
    burn_captions(str(write_png(tmp_path / "photo.png", 40, 30)), [], tmp_path / "out.mp4")
    assert len(frames(tmp_path / "out.mp4")) == 1


@pytest.mark.parametrize("source", ["camera:0", "/dev/video0", "rtsp://user:hunter2@host/door"])
def test_a_live_source_is_refused(source: str) -> None:
    with pytest.raises(InputError, match="not into a live source") as error:
        check_burnable(source)
    assert "hunter2" not in str(error.value)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="no such file"):
        check_burnable("nowhere.mp4")
    with pytest.raises(VideoError, match="no video stream"):
        check_burnable(str(write_audio(tmp_path / "sound.m4a")))
    assert check_burnable(write_video(tmp_path / "clip.mp4", 3, audio=1.0).as_uri()) is None


def test_an_output_that_can_not_be_written_is_an_os_error(tmp_path: Path) -> None:
    source = write_video(tmp_path / "clip.mp4", 3)
    with pytest.raises(OSError, match="No such file"):
        burn_captions(str(source), [], tmp_path / "missing" / "out.mp4")
