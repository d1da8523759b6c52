"""Names from descriptions, the fixed fifth of held-out names, and what counts as a photo-like cut-out."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vljepa_edge.training.tiny.cutouts import held_out, load_backgrounds, load_cutouts, name_of


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("A peacock (a male peafowl).", "peacock"),
        ("An owl.", "owl"),
        ("A red fox, running", "red fox"),
        ("A cup of coffee.", "cup of coffee"),
        ("A so-called “love apple”!", "so-called love apple"),
        ("A very poisonous mushroom.", "mushroom"),
        ("A very small shell.", "shell"),
        ("A steam engine — the first", "steam engine"),
        ("Two dogs.", None),
        ("The moon.", None),
        ("a cat.", None),
        ("A pair.", None),  # of what
        ("A stone that resembles bread", None),
        ("A very old and rusty tractor.", None),  # too many words
        ("A (strange) thing", None),
        ("", None),
    ],
)
def test_name_of(description: str, name: str | None) -> None:
    assert name_of(description) == name


names = st.lists(st.text("abcdefghij ", min_size=1, max_size=8), min_size=5, max_size=60, unique=True)


@given(names, st.randoms(use_true_random=False))
def test_a_fifth_is_held_out_in_whatever_order_the_names_come(found: list[str], rng: random.Random) -> None:
    held = held_out(found)
    assert len(held) == round(len(found) / 5) and held <= set(found)
    shuffled = list(found)
    rng.shuffle(shuffled)
    assert held_out(shuffled) == held


def test_the_held_out_names_are_those_of_every_other_machine() -> None:
    """By sha256, which no version of Python or hash seed changes."""
    assert held_out(f"thing {i}" for i in range(20)) == {"thing 3", "thing 6", "thing 15", "thing 17"}


def photo_like(seed: int, side: int = 64) -> Image.Image:
    """Noise of many colours in a disc on nothing."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 4), np.uint8)
    y, x = np.mgrid[:side, :side]
    pixels[..., 3] = 255 * ((x - side / 2) ** 2 + (y - side / 2) ** 2 < (side / 3) ** 2)
    return Image.fromarray(pixels)


def write_stamp(folder: Path, where: str, picture: Image.Image, description: str | None) -> None:
    file = folder / where
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file)
    if description is not None:
        file.with_suffix(".txt").write_text(description, encoding="utf8")


def test_cutouts_are_named_photographs_cropped_to_what_is_seen(tmp_path: Path) -> None:
    write_stamp(tmp_path, "animals/owl.png", photo_like(1), "An owl.\nin.utf8=Eine Eule.")
    write_stamp(tmp_path, "animals/owl2.png", photo_like(2), "An owl.")
    write_stamp(tmp_path, "animals/owl_mirror.png", photo_like(3), "A mirrored owl.")
    write_stamp(tmp_path, "animals/plain.png", Image.new("RGBA", (64, 64), (200, 0, 0, 255)), "A plain square.")
    write_stamp(tmp_path, "animals/cartoon/cat.png", photo_like(4), "A cat.")
    write_stamp(tmp_path, "symbols/sign.png", photo_like(5), "A sign.")
    write_stamp(tmp_path, "animals/silent.png", photo_like(6), None)
    write_stamp(tmp_path, "animals/crowd.png", photo_like(7), "Many birds.")
    write_stamp(tmp_path, "animals/empty.png", Image.new("RGBA", (64, 64)), "An empty thing.")
    found = load_cutouts(tmp_path)
    assert {name: len(pictures) for name, pictures in found.items()} == {"owl": 2}
    for picture in found["owl"]:
        assert picture.mode == "RGBA" and max(picture.size) == 200
        assert picture.getchannel("A").getbbox() == (0, 0, *picture.size)


def test_backgrounds_are_found_by_name_and_never_shared_with_the_test(tmp_path: Path) -> None:
    picture = Image.new("RGB", (1600, 900), (10, 200, 30))
    for name in ("Garden", "FallenLeaf", "Somebody"):
        picture.save(tmp_path / f"{name}.jpg")
    sizes = tmp_path / "Path" / "contents" / "images"
    sizes.mkdir(parents=True)
    picture.save(sizes / "1920x1080.jpg")
    picture.save(sizes / "640x480.jpg")
    train, test = load_backgrounds([tmp_path], test=False), load_backgrounds([tmp_path], test=True)
    assert (len(train), len(test)) == (1, 2)
    for photo in (*train, *test):
        assert [min(size.size) for size in photo] == [237, 341, 501]  # never smaller than asked for
        assert all(size.mode == "RGB" for size in photo)
