"""HEIC and AVIF photos: tiles, cuts, turns and mirrors. Oracles: the picture that was coded, and Pillow for AVIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tests.heif import aperture, colours, mirrored, size, turned, write_heic
from vljepa_edge.errors import VideoError
from vljepa_edge.video import open_source


def picture(width: int, height: int) -> NDArray[np.uint8]:
    """A smooth picture in which each place has a colour of its own."""
    y, x = np.mgrid[:height, :width]
    return np.stack([40 + 180 * x / width, 40 + 180 * y / height, 220 - 90 * (x / width + y / height)], 2).astype(
        np.uint8
    )


def shown(path: Path, **options: object) -> NDArray[np.uint8]:
    with open_source(path, **options) as source:  # type: ignore[arg-type]
        (frame,) = source
    assert frame.time == 0
    assert source.stats.frames_yielded == 1
    return frame.image


def same(image: NDArray[np.uint8], expected: NDArray[np.uint8]) -> bool:
    return image.shape == expected.shape and float(abs(image.astype(int) - expected).mean()) < 3


@pytest.mark.parametrize(("rows", "columns", "width", "height"), [(2, 2, 128, 128), (1, 3, 192, 64), (2, 3, 150, 101)])
def test_tiles_are_put_together_and_cut_to_the_pictures_size(
    tmp_path: Path, rows: int, columns: int, width: int, height: int
) -> None:
    canvas = picture(64 * columns, 64 * rows)
    tiles = [canvas[64 * r : 64 * r + 64, 64 * c : 64 * c + 64] for r in range(rows) for c in range(columns)]
    path = write_heic(tmp_path / "photo.heic", tiles, grid=(rows, columns, width, height))
    assert same(shown(path), canvas[:height, :width])
    assert shown(path, size=(32, 32), fps=4.0).shape == (32, 32, 3)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_a_picture_is_cut_to_its_clean_aperture(tmp_path: Path, pix_fmt: str) -> None:
    image = picture(64, 64)
    whole = [size(64, 64)]
    centred = write_heic(tmp_path / "a.heic", [image], [*whole, aperture(64, 48, (0, 1), (0, 1))], pix_fmt=pix_fmt)
    assert same(shown(centred), image[8:56])
    corner = aperture(63, 47, (-1, 2), (-17, 2))  # odd sizes: the upper left corner
    assert same(shown(write_heic(tmp_path / "b.heic", [image], [*whole, corner], pix_fmt=pix_fmt)), image[:47, :63])


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("left_right", [False, True])
def test_a_picture_is_turned_and_mirrored_in_the_order_of_the_file(
    tmp_path: Path, quarters: int, left_right: bool
) -> None:
    image = picture(128, 64)
    flip = np.fliplr if left_right else np.flipud
    path = write_heic(tmp_path / "a.heic", [image], [size(128, 64), turned(quarters), mirrored(left_right)])
    assert same(shown(path), flip(np.rot90(image, quarters)))
    path = write_heic(tmp_path / "b.heic", [image], [size(128, 64), mirrored(left_right), turned(quarters)])
    assert same(shown(path), np.rot90(flip(image), quarters))


def test_a_grid_is_cut_and_turned_as_one(tmp_path: Path) -> None:
    canvas = picture(128, 128)
    tiles = [canvas[r : r + 64, c : c + 64] for r in (0, 64) for c in (0, 64)]
    properties = [size(128, 100), aperture(100, 80, (0, 1), (0, 1)), turned(1)]
    path = write_heic(tmp_path / "photo.heic", tiles, properties, grid=(2, 2, 128, 100))
    assert same(shown(path), np.rot90(canvas[10:90, 14:114]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_avif_is_turned_as_pillow_shows_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.avif"
    Image.fromarray(picture(96, 64)).save(path, exif=exif, quality=95, speed=9)
    with Image.open(path) as photo:
        assert same(shown(path), np.asarray(ImageOps.exif_transpose(photo).convert("RGB")))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_avif_modes_are_as_pillow_shows_them(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "photo.avif"
    Image.fromarray(picture(1300, 730)).convert(mode).save(path, quality=90, speed=10)
    with Image.open(path) as photo:
        assert same(shown(path), np.asarray(photo.convert("RGB")))


def test_the_colours_that_the_file_names_are_used(tmp_path: Path) -> None:
    image = picture(64, 64)
    plain = shown(write_heic(tmp_path / "a.heic", [image], [size(64, 64)]))
    named = shown(write_heic(tmp_path / "b.heic", [image], [size(64, 64), colours(1, 1, 1, full=False)]))
    assert same(plain, image)
    assert abs(named.astype(int) - plain).max() > 5  # coded with BT.601, read with BT.709


def test_an_animated_avif_is_a_video(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")]
    frames[0].save(tmp_path / "a.avif", save_all=True, append_images=frames[1:], duration=[100, 500, 1000])
    with open_source(tmp_path / "a.avif") as source:
        assert [(int(frame.image[20, 20].argmax()), round(frame.time, 3)) for frame in source] == [
            (0, 0),
            (1, 0.1),
            (2, 0.6),
        ]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (
            lambda data: data.replace(b"hvc1", b"xyz1", 2).replace(b"xyz1", b"hvc1", 0),
            "coded as xyz1, which is not supported",
        ),
        (lambda data: data.replace(b"grid", b"iovl"), "coded as iovl, which is not supported"),
        (lambda data: data.replace(b"pitm", b"free"), "is damaged"),
        (lambda data: data.replace(b"ipma", b"free").replace(b"ipco", b"free"), "is damaged"),
        (lambda data: data.replace(b"dimg", b"cdsc"), "0 tiles for a grid of 2 x 2"),
        (lambda data: data[:-4000], "can't be decoded|cut off|damaged"),
    ],
)
def test_what_is_not_supported_or_damaged_is_said(tmp_path: Path, broken, reason: str) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(0)
    tiles = [rng.integers(0, 255, (64, 64, 3), dtype=np.uint8) for _ in range(4)]
    path = write_heic(tmp_path / "photo.heic", tiles, grid=(2, 2, 128, 128))
    path.write_bytes(broken(path.read_bytes()))
    with pytest.raises(VideoError, match=reason):
        list(open_source(path))
