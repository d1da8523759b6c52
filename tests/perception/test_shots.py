"""A shot begins where most of the picture changes by more than it moved before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.perception.shots import ShotDetector

Image = NDArray[np.uint8]


def texture(seed: int, size: int = 64) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (size // 8, size // 8, 3))
    return np.kron(coarse, np.ones((8, 8, 1))).astype(np.uint8)


def features(image: Image) -> dict[str, NDArray[np.float32]]:
    """Colours of a coarse grid, centred: their cosine says how alike two pictures are."""
    small = image[4::8, 4::8].astype(np.float32) - 127.5
    return {"colours": small[None]}


def begins(frames: list[Image], clear_at: int | None = None) -> list[int]:
    detector, found = ShotDetector(8), []
    for index, frame in enumerate(frames):
        if index == clear_at:
            detector.clear()
        if detector.begins(frame, features(frame)):
            found.append(index)
    return found


def test_a_shot_begins_at_a_cut_and_nowhere_in_a_still_scene() -> None:
    assert begins([texture(0)] * 5 + [texture(1)] * 5 + [texture(2)] * 3) == [5, 10]


def test_a_flash_begins_and_ends_as_a_shot() -> None:
    lit = texture(0)
    lit[:] = 255
    assert begins([texture(0)] * 4 + [lit] + [texture(0)] * 4) == [4, 5]


def test_an_object_that_appears_or_moves_begins_no_shot() -> None:
    frames = []
    for index in range(12):
        frame = texture(0)
        if index >= 3:
            frame[16:32, 4 * index : 4 * index + 16] = texture(1)[:16, :16]
        frames.append(frame)
    assert begins(frames) == []


def test_noise_and_light_begin_no_shot() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(texture(0) + rng.normal(0, 20, (64, 64, 3)), 0, 255).astype(np.uint8) for _ in range(8)]
    assert begins(noisy) == []
    assert begins([texture(0), (texture(0) * 0.8).astype(np.uint8)]) == []


def test_a_camera_that_pans_begins_no_shot() -> None:
    wide = np.kron(texture(0, 128)[::8, ::8], np.ones((32, 32, 1))).astype(np.uint8)
    for step in (2, 4):
        assert begins([wide[64:128, step * i : step * i + 64] for i in range(40)]) == []


def test_the_first_frame_begins_nothing_and_clear_makes_it_the_first_again() -> None:
    assert begins([texture(0), texture(1)], clear_at=1) == []


def test_features_without_direction_or_number_begin_nothing() -> None:
    detector = ShotDetector(8)
    for value in (0.0, np.nan, np.inf):
        assert not detector.begins(texture(0), {"colours": np.full((1, 4), value, np.float32)})
        assert not detector.begins(texture(1), {"colours": np.ones((1, 4), np.float32)})
