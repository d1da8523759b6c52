"""Files, photos and arrays. Frames are named by their colour, so what is shown and when is known exactly."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.media import blank_jpeg, cut, flat, number_of, write_png, write_video
from vljepa_edge.errors import VideoWarning
from vljepa_edge.video import Frame, SourceStats, open_source, preprocess

TENTHS = [(number, number / 10) for number in range(10)]


def seen(source: Any, **options: Any) -> tuple[list[tuple[int, float]], SourceStats]:
    """(number, time) of each frame, and the counters."""
    with open_source(source, **options) as opened:
        return [(number_of(frame.image), round(frame.time, 3)) for frame in opened], opened.stats


def corners(image: NDArray[np.uint8]) -> list[str]:
    """The colours of the corners: top left, top right, bottom left, bottom right."""
    height, width, _ = image.shape
    spots = [(height // 8, width // 8), (height // 8, -width // 8), (-height // 8, width // 8)]
    spots.append((-height // 8, -width // 8))
    return [
        ("red", "green", "blue")[int(image[spot].argmax())] if image[spot].max() > 90 else "black" for spot in spots
    ]


def quarters(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """Red and green above blue and black."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 250
    image[: height // 2, width // 2 :, 1] = 250
    image[height // 2 :, : width // 2, 2] = 250
    return image


class TestContainers:
    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("plain.mp4", {}),
            ("b_frames.mp4", {"options": {"bf": "3"}}),
            ("sound.mp4", {"audio": 1.0}),
            ("front.mp4", {"container_options": {"movflags": "faststart"}}),
            ("starts_at_5.mp4", {"times": [5 + number / 10 for number in range(10)]}),
            ("starts_at_5.mkv", {"times": [5 + number / 10 for number in range(10)]}),
            ("starts_at_5.ts", {"times": [5 + number / 10 for number in range(10)]}),
            ("mpeg4.avi", {"codec": "mpeg4"}),
            ("vp9.webm", {"codec": "libvpx-vp9"}),
            ("rgb.mkv", {"codec": "ffv1", "pix_fmt": "bgr0"}),
            ("alpha.mkv", {"codec": "ffv1", "pix_fmt": "bgra"}),
            ("ten_bits.mkv", {"codec": "ffv1", "pix_fmt": "yuv420p10le"}),
            ("full_range.avi", {"codec": "mjpeg", "pix_fmt": "yuvj420p"}),
            ("odd.mkv", {"codec": "ffv1", "images": [flat(number, 63, 47) for number in range(10)]}),
            ("moving.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ],
    )
    def test_every_frame_at_its_time_from_second_zero(self, tmp_path: Path, name: str, how: dict[str, Any]) -> None:
        frames, stats = seen(write_video(tmp_path / name, **how))
        assert frames == TENTHS
        assert stats == SourceStats(frames_decoded=10, frames_yielded=10)

    def test_b_frames_in_avi_whose_stamps_go_back_and_forth(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "b.avi", 40, codec="mpeg4", options={"bf": "2"})
        frames, _ = seen(path)
        assert [number for number, _ in frames] == list(range(40))
        assert np.allclose(np.diff([time for _, time in frames]), 0.1)

    @pytest.mark.parametrize("options", [{"bf": "3"}, {"bf": "3", "b-pyramid": "normal", "g": "8"}, {"bf": "0"}])
    def test_h264_in_avi_gives_every_frame_in_order_at_its_time(self, tmp_path: Path, options: dict[str, str]) -> None:
        frames, stats = seen(write_video(tmp_path / "b.avi", 40, options=options))
        assert frames == [(number, number / 10) for number in range(40)]
        assert stats == SourceStats(frames_decoded=40, frames_yielded=40)

    def test_a_beginning_that_is_no_full_microsecond_is_second_zero(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.ts", times=[0.1371 + number / 10 for number in range(10)])
        data = bytearray(path.read_bytes())
        for at in range(0, len(data), 188):  # the presentation stamps, 90,000 a second, become one later
            body = at + 4 + (data[at + 4] + 1 if data[at + 3] & 0x20 else 0)
            if data[at + 1] & 0x40 and data[body : body + 4] == b"\0\0\1\xe0":
                for stamp in [body + 9, body + 14][: 2 if data[body + 7] >> 6 == 3 else 1]:
                    low = int.from_bytes(data[stamp + 3 : stamp + 5], "big") + 2
                    data[stamp + 3 : stamp + 5] = low.to_bytes(2, "big")
        path.write_bytes(data)
        with open_source(path) as source:
            times = [frame.time for frame in source]
        assert times[0] == 0.0
        assert np.allclose(np.diff(times), 0.1)

    def test_a_title_that_is_not_utf8_does_not_matter(self, tmp_path: Path) -> None:
        for suffix in ("mp4", "mkv", "avi"):
            path = write_video(tmp_path / f"v.{suffix}", codec="mpeg4", title="four")
            path.write_bytes(path.read_bytes().replace(b"four", b"caf\xe9"))
            assert seen(path)[0] == TENTHS

    def test_grey(self, tmp_path: Path) -> None:
        with open_source(write_video(tmp_path / "grey.mkv", [flat(5)], codec="ffv1", pix_fmt="gray")) as source:
            image = next(source).image
        assert np.ptp(image) <= 1
        assert abs(int(image[0, 0, 0]) - 0.299 * 250) < 3

    def test_odd_sizes_stay(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "odd.mkv", [flat(1, 63, 47)], codec="ffv1")
        with open_source(path) as source:
            assert next(source).image.shape == (47, 63, 3)

    def test_the_size_may_change_in_the_middle(self, tmp_path: Path) -> None:
        small = write_video(tmp_path / "small.ts", 3, options={"bf": "0"})
        images = [flat(number, 128, 96) for number in (3, 4, 5)]
        large = write_video(tmp_path / "large.ts", images, times=[0.3, 0.4, 0.5], options={"bf": "0"})
        (tmp_path / "both.ts").write_bytes(small.read_bytes() + large.read_bytes())
        with open_source(tmp_path / "both.ts", size=(32, 32)) as source:
            images = [frame.image for frame in source]
        assert [number_of(image) for image in images] == [0, 1, 2, 3, 4, 5]
        assert {image.shape for image in images} == {(32, 32, 3)}

    def test_a_name_that_means_something_to_ffmpeg_is_just_a_name(self, tmp_path: Path) -> None:
        for name in ("100%03d.png", "concat:a|b.png", "-"):
            Image.fromarray(flat(7)).save(tmp_path / name, "PNG")
            frames, _ = seen(tmp_path / name)
            assert frames == [(7, 0)]


class TestOrientation:
    @pytest.mark.parametrize(
        ("rotation", "mirrored", "expected"),
        [
            (0, False, ["red", "green", "blue", "black"]),
            (90, False, ["green", "black", "red", "blue"]),
            (180, False, ["black", "blue", "green", "red"]),
            (-90, False, ["blue", "red", "black", "green"]),
            (0, True, ["green", "red", "black", "blue"]),
            (90, True, ["black", "green", "blue", "red"]),
            (180, True, ["blue", "black", "red", "green"]),
            (-90, True, ["red", "blue", "green", "black"]),
        ],
    )
    @pytest.mark.parametrize("size", [None, (48, 48), (40, 60)])
    def test_videos_are_turned_as_their_matrix_says(
        self, tmp_path: Path, rotation: int, mirrored: bool, expected: list[str], size: tuple[int, int] | None
    ) -> None:
        path = write_video(tmp_path / "turned.mp4", [quarters()], rotation=rotation, mirrored=mirrored)
        with open_source(path, size=size, resize="stretch") as source:
            image = next(source).image
        turned = (64, 96) if rotation % 180 else (96, 64)
        assert image.shape[1::-1] == (size or turned)
        assert corners(image) == expected
        assert image.flags.c_contiguous

    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
    def test_photos_are_turned_as_their_exif_says(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x010E], exif[0x0112] = "something before the orientation", orientation
        path = tmp_path / f"photo.{suffix}"
        options = {"jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}.get(suffix, {})
        Image.fromarray(quarters()).save(path, exif=exif, **options)
        with Image.open(path) as photo:
            expected = np.asarray(ImageOps.exif_transpose(photo).convert("RGB"))
        with open_source(path) as source:
            (frame,) = source
        assert frame.image.shape == expected.shape
        assert abs(frame.image.astype(int) - expected).mean() < 3
        assert corners(frame.image) == corners(expected)

    @pytest.mark.parametrize("keep", [0.1, 0.3, 0.6])
    def test_exif_that_is_damaged_turns_nothing(self, tmp_path: Path, keep: float) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6
        body = exif.tobytes()
        Image.fromarray(quarters()).save(tmp_path / "photo.jpg", exif=body[: int(len(body) * keep)])
        with open_source(tmp_path / "photo.jpg") as source:
            assert next(source).image.shape == (64, 96, 3)

    def test_decoded_frames_are_freed_without_the_cycle_collector(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.mp4", 60, rotation=90)

        def kept() -> int:
            return sum(isinstance(found, av.VideoFrame) and found.width >= 16 for found in gc.get_objects())

        gc.collect()
        gc.disable()
        try:
            before = kept()
            with open_source(path, size=(32, 32)) as source:
                assert len(list(source)) == 60
            assert kept() == before
        finally:
            gc.enable()

    def test_pixels_that_are_not_square_are_made_so(self, tmp_path: Path) -> None:
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, 16:48] = 255  # as shown 128 wide: white from 32 to 96, so a centred square is white but for nothing
        path = write_video(tmp_path / "wide.mp4", [image], aspect=Fraction(2))
        with open_source(path, size=(64, 64)) as source:
            assert (next(source).image[:, 4:60] > 200).all()


class TestPhotos:
    @pytest.mark.parametrize(
        ("suffix", "mode"),
        [
            ("png", "RGB"),
            ("png", "RGBA"),
            ("png", "P"),
            ("bmp", "RGB"),
            ("webp", "RGB"),
            ("tiff", "RGB"),
            ("jpg", "RGB"),
        ],
    )
    def test_a_photo_is_one_frame_at_second_zero(self, tmp_path: Path, suffix: str, mode: str) -> None:
        path = tmp_path / f"photo.{suffix}"
        Image.fromarray(flat(9)).convert(mode).save(path)
        frames, stats = seen(path, fps=4.0)
        assert frames == [(9, 0)]
        assert stats.frames_yielded == 1

    @pytest.mark.parametrize(
        ("suffix", "mode"),
        [("png", "LA"), ("png", "I;16"), ("jpg", "CMYK"), ("jpg", "L"), ("tiff", "CMYK"), ("png", "1")],
    )
    def test_other_kinds_of_pixels_are_as_pillow_shows_them(self, tmp_path: Path, suffix: str, mode: str) -> None:
        smooth = np.linspace(0, 255, 64 * 48).reshape(48, 64)
        path = tmp_path / f"photo.{suffix}"
        if mode == "I;16":
            Image.fromarray((smooth * 257).astype(np.uint16)).save(path)
            expected = np.repeat(smooth[:, :, None], 3, 2)
        else:
            Image.fromarray(np.stack([smooth, smooth.T.reshape(48, 64), 255 - smooth], 2).astype(np.uint8)).convert(
                mode
            ).save(path)
            with Image.open(path) as photo:
                expected = np.asarray(photo.convert("RGB")).astype(float)
        with open_source(path) as source:
            (frame,) = source
        assert frame.image.shape == expected.shape
        assert abs(frame.image - expected).mean() < 3

    @pytest.mark.parametrize("lossless", [True, False])
    @pytest.mark.parametrize("background", [(10, 20, 200, 255), (10, 200, 20, 0)])
    def test_an_animated_webp_is_as_pillow_shows_it(
        self, tmp_path: Path, lossless: bool, background: tuple[int, ...]
    ) -> None:
        frames = []
        for number in range(5):
            frame = Image.new("RGBA", (64, 48), background)
            frame.paste((250, 40 * number, 0, 255 - 40 * (number % 2)), (10 * number, 6, 10 * number + 20, 30))
            frames.append(frame)
        path, times = tmp_path / "v.webp", [100, 500, 40, 300, 1000]
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=times, lossless=lossless, quality=90)
        with open_source(path) as source:
            seen_frames = list(source)
        assert [frame.time for frame in seen_frames] == [0, 0.1, 0.6, 0.64, 0.94]
        with Image.open(path) as moving:
            for number, frame in enumerate(seen_frames):
                moving.seek(number)
                expected = np.asarray(moving.convert("RGBA")).astype(float)
                visible = expected[:, :, 3] > 0
                assert abs(frame.image - expected[:, :, :3])[visible].mean() < 4
        assert source.stats == SourceStats(frames_decoded=5, frames_yielded=5)

    def test_a_damaged_picture_of_an_animation_is_counted(self, tmp_path: Path) -> None:
        frames = [
            Image.fromarray(np.random.default_rng(n).integers(0, 255, (48, 64, 3), dtype=np.uint8)) for n in (0, 1, 2)
        ]
        path = tmp_path / "v.webp"
        frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, lossless=True)
        data = path.read_bytes()
        second = data.index(b"VP8L", data.index(b"VP8L") + 4)
        path.write_bytes(data[: second + 8] + bytes(40) + data[second + 48 :])
        with open_source(path) as source:
            assert [frame.time for frame in source] == [0, 0.2]
        assert source.stats.corrupt == 1

    def test_what_a_file_is_does_not_depend_on_its_name(self, tmp_path: Path) -> None:
        path = write_png(tmp_path / "photo.mp4", 40, 30)
        with open_source(str(path)) as source:
            assert [frame.image.shape for frame in source] == [(30, 40, 3)]


class TestSampling:
    def test_constant_rate(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.mp4", 75, fps=25)
        frames, stats = seen(path, fps=4.0)
        expected = [int(np.ceil(due * 25 - 1e-9)) for due in np.arange(0, 75 / 25, 0.25)]
        assert frames == [(number, number / 25) for number in expected if number < 75]
        assert stats.frames_decoded == 75
        assert stats.frames_yielded == len(frames)

    def test_variable_rate(self, tmp_path: Path) -> None:
        times = [0, 0.03, 0.3, 0.31, 0.5, 0.9, 0.95, 2.6, 2.7, 2.75]
        frames, _ = seen(write_video(tmp_path / "v.mkv", times=times), fps=4.0)
        assert frames == [(0, 0), (2, 0.3), (4, 0.5), (5, 0.9), (7, 2.6), (9, 2.75)]

    def test_frames_that_tremble_at_the_rate_itself_are_all_taken_but_of_a_recording(self, tmp_path: Path) -> None:
        times = [0, 0.255, 0.495, 0.751, 0.995, 1.246]
        expected = [(number, time) for number, time in enumerate(times)]
        assert seen([(flat(number), time) for number, time in expected], fps=4.0)[0] == expected
        recording = write_video(tmp_path / "v.mkv", len(times), times=times)
        assert seen(recording, fps=4.0)[0] == [expected[0], expected[1], expected[3], expected[5]]

    def test_frames_between_are_not_scaled(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        scaled = []
        upright = preprocess.Scaler.upright

        def counted(*arguments: Any) -> Any:
            scaled.append(arguments)
            return upright(*arguments)

        monkeypatch.setattr(preprocess.Scaler, "upright", counted)
        frames, _ = seen(write_video(tmp_path / "v.mp4", 50, fps=25), fps=4.0, size=(32, 32))
        assert len(scaled) == len(frames) == 8


class TestDamage:
    def test_a_packet_that_does_not_decode_is_counted_and_the_rest_shown(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.avi", codec="mjpeg", pix_fmt="yuvj420p")
        frames, stats = seen(blank_jpeg(path, 4))
        assert frames == [pair for pair in TENTHS if pair[0] != 4]
        assert stats.corrupt == 1

    def test_noise_in_the_middle_does_not_end_the_stream(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.ts", 60, options={"g": "10"})
        data = bytearray(path.read_bytes())
        third = len(data) // 3
        data[third : third + 2000] = np.random.default_rng(0).bytes(2000)
        path.write_bytes(data)
        frames, stats = seen(path)
        assert {0, 1, 2, 57, 58, 59} <= {number for number, _ in frames}
        assert stats.corrupt > 0

    @pytest.mark.parametrize("share", [0.7])
    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("v.mkv", {}),
            ("v.webm", {"codec": "libvpx-vp9"}),
            ("v.mp4", {"container_options": {"movflags": "faststart"}}),
            ("sound.mkv", {"audio": 10.0}),
            ("sound.mp4", {"audio": 10.0, "container_options": {"movflags": "faststart"}}),
            ("v.mov", {"container_options": {"movflags": "faststart"}}),
            ("v.avi", {"codec": "mpeg4"}),
            ("b.avi", {"options": {"bf": "2"}}),
            ("v.flv", {}),
        ],
    )
    def test_a_truncated_file_gives_what_is_left_and_says_what_is_missing(
        self, tmp_path: Path, name: str, how: dict[str, Any], share: float
    ) -> None:
        path = cut(write_video(tmp_path / name, 100, **how), share)
        with pytest.warns(VideoWarning, match=rf"{name}: the last [\d.]+ s are missing: the file was cut off"):
            frames, stats = seen(path)
        assert 3 < len(frames) < 95
        assert frames[:-2] == [(number, number / 10) for number in range(len(frames) - 2)]
        assert stats.missing == pytest.approx(10 - len(frames) / 10, abs=0.35)

    @pytest.mark.parametrize(
        ("name", "how"),
        [
            ("v.mkv", {}),
            ("late.mkv", {"times": [5 + number / 10 for number in range(10)]}),
            ("late.mp4", {"times": [5 + number / 10 for number in range(10)]}),
            ("slow.mp4", {"times": [number**2 for number in range(10)]}),
            ("slow.mkv", {"times": [number**2 for number in range(10)]}),
            ("slow.avi", {"times": [number**2 for number in range(10)], "codec": "mjpeg", "pix_fmt": "yuvj420p"}),
            ("long_sound.mkv", {"audio": 9.0}),
            ("long_sound.mp4", {"audio": 9.0}),
            ("long_sound.avi", {"audio": 9.0, "codec": "mpeg4"}),
            ("v.flv", {}),
            ("v.ts", {}),
            ("b.mp4", {"options": {"bf": "3"}}),
            ("fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
            ("v.gif", {"codec": "gif", "pix_fmt": "rgb8"}),
        ],
    )
    def test_of_a_complete_file_nothing_is_missing(self, tmp_path: Path, name: str, how: dict[str, Any]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            frames, stats = seen(write_video(tmp_path / name, **how))
        assert len(frames) == 10
        assert stats.missing == 0

    def test_no_stamps_at_all(self, tmp_path: Path) -> None:
        frames, stats = seen(write_video(tmp_path / "v.h264", fps=25))
        assert frames == [(number, number / 25) for number in range(10)]
        assert stats.bad_timestamps == 10

    def test_time_that_starts_again_goes_on(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.ts", 30)
        path.write_bytes(path.read_bytes() * 2)
        frames, stats = seen(path)
        assert [number for number, _ in frames] == [*range(30), *range(30)]
        assert [time for _, time in frames] == [number / 10 for number in range(60)]
        assert stats.bad_timestamps == 1


class TestArrays:
    def test_pairs_keep_their_times(self) -> None:
        frames, stats = seen((flat(number), 7 + number) for number in range(3))
        assert frames == [(0, 7), (1, 8), (2, 9)]
        assert stats == SourceStats(frames_decoded=3, frames_yielded=3)

    def test_bare_arrays_with_a_rate(self) -> None:
        video = np.stack([flat(number) for number in range(4)])
        for source in (video, list(video), iter(video)):
            assert seen(source, fps=2.0)[0] == [(0, 0), (1, 0.5), (2, 1), (3, 1.5)]

    def test_frames_of_one_source_feed_another(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.mp4")
        with open_source(path) as first:
            assert seen(first, fps=5.0)[0] == [(0, 0), (2, 0.2), (4, 0.4), (6, 0.6), (8, 0.8)]

    def test_one_array_is_a_photo(self) -> None:
        assert seen(flat(3))[0] == [(3, 0)]
        assert seen(np.full((20, 30), 150, np.uint8))[0] == [(3 + 3 * 6 + 3 * 36, 0)]

    def test_time_backwards_repeated_and_missing_is_counted(self) -> None:
        times = [0, 0.1, 0.05, None, float("nan"), 0.3, 0.3, 9.0]
        frames, stats = seen([(flat(number), time) for number, time in enumerate(times)])
        assert [number for number, _ in frames] == [0, 1, 3, 4, 5, 6, 7]
        assert stats.bad_timestamps == 4
        assert [time for _, time in frames] == sorted(time for _, time in frames)

    def test_a_clock_that_is_set_back_keeps_its_times(self) -> None:
        times = [100, 100.25, 100.5, 95, 95.25, 95.5]
        frames, _ = seen([(flat(number), time) for number, time in enumerate(times)], fps=4.0)
        assert frames == list(enumerate(times))

    def test_each_is_scaled_as_it_comes(self) -> None:
        frames = [Frame(flat(1, 640, 480), 0.0), Frame(flat(2, 30, 300), 1.0), Frame(flat(3)[:, :, :1], 2.0)]
        with open_source(frames, size=(32, 24)) as source:
            assert [frame.image.shape for frame in source] == [(24, 32, 3)] * 3

    def test_an_error_of_the_iterable_is_its_own(self) -> None:
        def broken() -> Iterator[tuple[NDArray[np.uint8], float]]:
            yield flat(0), 0.0
            raise KeyError("mine")

        with open_source(broken()) as source:
            next(source)
            with pytest.raises(KeyError, match="mine"):
                next(source)


@pytest.mark.parametrize("start", ["file://", "FILE://", "file://localhost"])
def test_a_file_url_names_its_path_with_escapes(tmp_path: Path, start: str) -> None:
    write_video(tmp_path / "front door #1.mp4")
    assert seen(f"{start}{tmp_path}/front%20door%20%231.mp4")[0] == TENTHS
    assert seen(f"{start}{tmp_path}/front door #1.mp4")[0] == TENTHS


def test_a_closed_source_gives_nothing_and_can_be_closed_again(tmp_path: Path) -> None:
    source = open_source(write_video(tmp_path / "v.mp4"))
    next(source)
    source.close()
    source.close()
    assert list(source) == []
