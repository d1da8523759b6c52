"""as_rgb and resize: what is allowed, and pixels checked against Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.media import write_video
from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.video import as_rgb, open_source, resize


def photo(width: int, height: int, seed: int = 0) -> NDArray[np.uint8]:
    """Smooth noise, in which a shift by half a pixel shows."""
    small = np.random.default_rng(seed).integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


class TestAsRgb:
    def test_a_frame_that_is_one_already_is_not_copied(self) -> None:
        image = photo(32, 24)
        assert as_rgb(image) is image

    def test_grey_is_repeated(self) -> None:
        grey = photo(32, 24)[:, :, 0]
        for form in (grey, grey[:, :, None]):
            rgb = as_rgb(form)
            assert rgb.shape == (24, 32, 3)
            assert all(np.array_equal(rgb[:, :, channel], grey) for channel in range(3))

    def test_alpha_is_dropped(self) -> None:
        image = photo(32, 24)
        rgba = np.dstack([image, np.zeros((24, 32), np.uint8)])
        assert np.array_equal(as_rgb(rgba), image)

    def test_strided_frames_become_contiguous(self) -> None:
        image = photo(32, 24)
        bgr_to_rgb = as_rgb(image[:, ::-1, ::-1])
        assert bgr_to_rgb.flags.c_contiguous
        assert np.array_equal(bgr_to_rgb, image[:, ::-1, ::-1])

    def test_what_offers_an_array_is_taken(self) -> None:
        assert np.array_equal(as_rgb(Image.fromarray(photo(32, 24))), photo(32, 24))

    @pytest.mark.parametrize(
        ("bad", "reason"),
        [
            (np.zeros((4, 4, 3), np.float32), "float32.*astype"),
            (np.full((4, 4, 3), np.nan), "float64 with NaN or infinite"),
            (np.full((4, 4, 3), np.inf, np.float16), "float16 with NaN or infinite"),
            (np.zeros((4, 4, 3), np.int64), "int64"),
            (np.zeros((4, 4, 3), bool), "bool"),
            (np.zeros((4, 4, 3), np.uint16), "uint16"),
            (np.array([None, None]), "object"),
            (np.zeros((3, 40, 60), np.uint8), "channels first"),
            (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
            (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
            (np.zeros(4, np.uint8), r"\(4,\)"),
            (np.zeros((), np.uint8), r"\(\)"),
            (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
            (np.broadcast_to(np.uint8(0), (20_000, 20_000, 3)), "20000 x 20000 is too large"),
            ([[0, 0], [0, 0]], "list"),
            ("frame", "str"),
            (None, "NoneType"),
        ],
    )
    def test_anything_else_is_a_frame_error_that_says_what_is_allowed(self, bad: object, reason: str) -> None:
        with pytest.raises(FrameError, match=f"{reason}.*must (be|have)"):
            as_rgb(bad)


class TestResize:
    @pytest.mark.parametrize("size", [(640, 480), (480, 640), (1280, 720), (300, 224), (100, 80), (225, 223)])
    def test_cover_fills_the_frame_and_keeps_the_centre(self, size: tuple[int, int]) -> None:
        image = photo(*size)
        scale = max(224 / size[0], 224 / size[1])
        width, height = max(224, round(size[0] * scale)), max(224, round(size[1] * scale))
        whole = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
        left, top = (width - 224) // 2, (height - 224) // 2
        expected = whole[top : top + 224, left : left + 224].astype(int)
        difference = np.abs(resize(image, 224, 224).astype(int) - expected)
        assert difference.mean() < 0.75
        assert difference.max() <= 6

    def test_stretch_ignores_the_proportions(self) -> None:
        image = photo(200, 100)
        expected = np.asarray(Image.fromarray(image).resize((64, 80), Image.Resampling.BICUBIC)).astype(int)
        difference = np.abs(resize(image, 64, 80, "stretch").astype(int) - expected)
        assert difference.mean() < 0.75

    def test_an_image_of_the_right_size_is_not_copied(self) -> None:
        image = photo(64, 48)
        assert resize(image, 64, 48) is image

    @pytest.mark.parametrize("mode", ["cover", "stretch"])
    def test_a_video_that_decodes_to_rgb_gives_the_same_pixels(self, tmp_path: Path, mode: str) -> None:
        image = photo(98, 66)
        path = write_video(tmp_path / "exact.mkv", [image], codec="ffv1", pix_fmt="bgr0")
        with open_source(path, size=(40, 40), resize=mode) as source:  # type: ignore[arg-type]
            decoded = next(source).image
        assert np.array_equal(decoded, resize(image, 40, 40, mode))  # type: ignore[arg-type]

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9000), (9000, 1), (3, 700), (2000, 7), (1, 2)])
    def test_extreme_shapes_keep_their_colour_and_stay_small(self, shape: tuple[int, int]) -> None:
        image = np.full((*shape, 3), (200, 100, 50), np.uint8)
        for mode in ("cover", "stretch"):
            scaled = resize(image, 56, 56, mode)
            assert scaled.shape == (56, 56, 3)
            assert np.abs(scaled.astype(int) - (200, 100, 50)).max() <= 1

    def test_a_cut_before_scaling_keeps_the_centre(self) -> None:
        image = np.zeros((20, 600, 3), np.uint8)
        image[:, 300:] = 255  # an edge in the very middle
        scaled = resize(image, 40, 40)
        assert scaled[:, :18].max() < 10
        assert scaled[:, 22:].min() > 245

    @settings(max_examples=40, deadline=None)
    @given(
        st.tuples(st.integers(1, 90), st.integers(1, 90)),
        st.tuples(st.integers(1, 70), st.integers(1, 70)),
        st.sampled_from(["cover", "stretch"]),
    )
    def test_the_size_is_always_as_asked(self, size: tuple[int, int], wanted: tuple[int, int], mode: str) -> None:
        scaled = resize(np.full((size[1], size[0], 3), 77, np.uint8), *wanted, mode)  # type: ignore[arg-type]
        assert scaled.shape == (wanted[1], wanted[0], 3)
        assert scaled.flags.c_contiguous
        assert np.abs(scaled.astype(int) - 77).max() <= 1

    @pytest.mark.parametrize("size", [(0, 10), (-1, 10), (10, 0), (2**20, 2**20)])
    def test_sizes_that_are_not_allowed(self, size: tuple[int, int]) -> None:
        with pytest.raises(InputError, match="must be 1 to"):
            resize(photo(32, 24), *size)

    def test_modes_that_are_not_allowed(self) -> None:
        with pytest.raises(InputError, match="must be one of cover, stretch, got 'fit'"):
            resize(photo(32, 24), 8, 8, "fit")  # type: ignore[arg-type]
