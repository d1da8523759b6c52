"""Drawn clips show what their labels say, measured on the pixels of a red ellipse over plain grey."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.training.tiny.fakes import cutout, grey_background
from vljepa_edge.training.tiny import captions as say
from vljepa_edge.training.tiny.captions import Scene
from vljepa_edge.training.tiny.scenes import FRAMES, SIZE, Painter, camera_path, motion_path, random_scene

SEEDS = range(6)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter({"apple": [cutout((220, 20, 20))], "pool": [cutout((20, 20, 220))]}, grey_background())


def is_red(frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    pixels = frames.astype(int)
    return pixels[..., 0] - pixels[..., 2] > 60


def is_blue(frames: NDArray[np.uint8]) -> NDArray[np.bool_]:
    pixels = frames.astype(int)
    return pixels[..., 2] - pixels[..., 0] > 60


def centres(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(T, 2) centre of mass, x then y, of each frame; nan where there is nothing."""
    return np.array([[np.nan, np.nan] if not m.any() else np.array(np.nonzero(m)).mean(1)[::-1] for m in mask])


def draw(painter: Painter, scene: Scene, seed: int) -> NDArray[np.uint8]:
    return painter.draw(scene, random.Random(seed))


@pytest.mark.parametrize("motion", say.MOTIONS)
def test_a_clip_is_eight_rgb_frames_and_its_seed_decides_it(painter: Painter, motion: str) -> None:
    scene = Scene(motion, "apple", "pool" if motion in say.TWO else None)
    frames = draw(painter, scene, 1)
    assert frames.shape == (FRAMES, SIZE, SIZE, 3) == (8, 224, 224, 3) and frames.dtype == np.uint8
    np.testing.assert_array_equal(frames, draw(painter, scene, 1))
    assert not np.array_equal(frames, draw(painter, scene, 2))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("motion", "way"), [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))])
@pytest.mark.parametrize("count", [1, 3])
def test_things_move_the_way_that_is_said(
    painter: Painter, motion: str, way: tuple[int, int], count: int, seed: int
) -> None:
    path = centres(is_red(draw(painter, Scene(motion, "apple", None, count), seed)))
    moved = path[-1] - path[0]
    along, across = float(moved @ way), float(abs(moved @ way[::-1]))
    assert along > 20 and along > 3 * across
    steps = np.diff(path, axis=0) @ np.array(way)
    assert (steps > -7).all()  # a shaken camera moves the picture by at most 6 px


@pytest.mark.parametrize("seed", SEEDS)
def test_what_grows_grows_and_what_shrinks_shrinks(painter: Painter, seed: int) -> None:
    for motion, sign in (("grow", 1), ("shrink", -1)):
        area = is_red(draw(painter, Scene(motion, "apple"), seed)).sum((1, 2))
        assert (np.diff(area) * sign > 0).all()
        assert max(area) > 2.5 * min(area)


@pytest.mark.parametrize("seed", SEEDS)
def test_things_appear_and_vanish_once_well_inside_the_clip(painter: Painter, seed: int) -> None:
    for motion in ("appear", "vanish"):
        there = is_red(draw(painter, Scene(motion, "apple"), seed)).any((1, 2))
        if motion == "vanish":
            there = there[::-1]
        first = int(there.argmax())
        assert 2 <= first <= 6 and there[first:].all() and not there[:first].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_still_and_spinning_things_stay_in_place(painter: Painter, seed: int) -> None:
    for motion in ("still", "spin"):
        path = centres(is_red(draw(painter, Scene(motion, "apple"), seed)))
        assert np.ptp(path, axis=0).max() <= 8
    turning = is_red(draw(painter, Scene("spin", "apple"), seed))
    tall = [np.ptp(np.nonzero(frame)[0]) for frame in turning]
    assert np.ptp(tall) >= 6  # the ellipse, 120 x 100, stands up and lies down


@pytest.mark.parametrize("seed", SEEDS)
def test_a_bounce_goes_up_and_down_again_and_again(painter: Painter, seed: int) -> None:
    heights = centres(is_red(draw(painter, Scene("bounce", "apple"), seed)))[:, 1]
    steps = np.diff(heights)
    assert (np.sign(steps[1:]) == -np.sign(steps[:-1])).all() and abs(steps).min() > 15


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("motion", say.TWO)
def test_two_things_do_what_is_said(painter: Painter, motion: str, seed: int) -> None:
    frames = draw(painter, Scene(motion, "apple", "pool"), seed)
    red, blue = centres(is_red(frames)), centres(is_blue(frames))
    before, after = abs(red[0, 0] - blue[0, 0]), abs(red[-1, 0] - blue[-1, 0])
    if motion == "swap":
        assert (red[0, 0] - blue[0, 0]) * (red[-1, 0] - blue[-1, 0]) < 0
    elif motion == "approach":
        assert after < before - 30
    elif motion == "apart":
        assert after > before + 30
    elif motion == "both_still":
        assert abs(red[-1] - red[0]).max() <= 8 and abs(blue[-1] - blue[0]).max() <= 8
    else:
        way = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}[motion.removesuffix("_while")]
        assert float((red[-1] - red[0]) @ way) > 40


@pytest.mark.parametrize("count", [2, 3])
def test_as_many_things_are_there_as_are_said(painter: Painter, count: int) -> None:
    """Sprites of a group lie apart, so nearly every still group falls into `count` pieces."""
    alone = Counter()
    for seed in range(25):
        red = is_red(draw(painter, Scene("still", "apple", None, count), seed))[0]
        alone[int(ndimage.label(red)[1])] += 1
    assert alone[count] >= 22, alone


@pytest.mark.parametrize("seed", SEEDS)
def test_a_close_up_is_filled_by_its_thing(painter: Painter, seed: int) -> None:
    frame = painter.close_up("apple", random.Random(seed))
    assert frame.shape == (SIZE, SIZE, 3) and frame.dtype == np.uint8
    red = is_red(frame)
    assert red.mean() > 0.25 and red[SIZE // 2, SIZE // 2]
    np.testing.assert_array_equal(frame, painter.close_up("apple", random.Random(seed)))


def test_another_photograph_and_sprite_are_chosen_by_the_seed_too() -> None:
    two = Painter({"apple": [cutout((220, 20, 20)), cutout((20, 20, 220))]}, grey_background(60) + grey_background(160))
    drawn = [draw(two, Scene("still", "apple"), seed)[0] for seed in range(20)]
    assert {bool(is_red(frame).any()) for frame in drawn} == {True, False}
    corners = {int(frame[0, 0, 0]) > 110 for frame in drawn}
    assert corners == {True, False}


def test_cutouts_are_pasted_by_their_alpha() -> None:
    hollow = cutout((220, 20, 20))
    hollow.paste(Image.new("RGBA", (40, 40)), (40, 30))
    frame = draw(Painter({"ring": [hollow]}, grey_background()), Scene("still", "ring"), 0)[0]
    red = is_red(frame)
    ys, xs = np.nonzero(red)
    assert not red[int(ys.mean()), int(xs.mean())]  # the background shows through the hole


def test_a_path_needs_a_motion_of_one_object() -> None:
    with pytest.raises(ValueError, match="'swap' is not a one-object motion; use one of left, right"):
        motion_path("swap", random.Random(0))


def test_random_scenes_come_in_the_shares_that_are_asked_for() -> None:
    rng = random.Random(0)
    scenes = [random_scene(rng, ["a", "b", "c"], pairs=0.2, groups=0.3) for _ in range(3000)]
    pairs = [s for s in scenes if s.second is not None]
    groups = [s for s in scenes if s.count > 1]
    assert abs(len(pairs) / 3000 - 0.2) < 0.03 and abs(len(groups) / 3000 - 0.3) < 0.03
    assert all(s.second != s.name and s.motion in say.TWO and s.count == 1 for s in pairs)
    assert all(s.motion in say.COUNTED_MOTIONS and s.second is None for s in groups)
    assert {s.count for s in groups} == {2, 3}
    assert {s.motion for s in scenes} == set(say.MOTIONS)


# --- a camera that moves ---


def striped() -> list[list[Image.Image]]:
    """A photograph whose blue tells how far right a pixel lies, and whose green how far down."""
    across, down = np.meshgrid(np.arange(400) * 0.6, np.arange(400) * 0.6)
    return [[Image.fromarray(np.stack([np.zeros_like(across), down, across], -1).astype(np.uint8))]]


@pytest.mark.parametrize("seed", range(40))
def test_a_moving_camera_stays_inside_its_world_and_pans_evenly(seed: int) -> None:
    boxes = np.array(camera_path(random.Random(seed)))
    assert boxes.shape == (FRAMES, 4) and boxes.min() >= -1e-9 and boxes.max() <= 320 + 1e-9
    widths, heights = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    np.testing.assert_allclose(widths, heights)
    assert SIZE / widths.max() >= 0.86 and SIZE / widths.min() <= 1.17
    middles = (boxes[:, 0] + boxes[:, 2]) / 2
    line = np.polyval(np.polyfit(np.arange(FRAMES), middles, 1), np.arange(FRAMES))
    assert np.abs(middles - line).max() < 16  # four times the strongest tremble


def test_cameras_pan_to_every_side_and_tremble_and_half_of_them_zoom() -> None:
    boxes = np.array([camera_path(random.Random(seed)) for seed in range(200)])
    travel = (boxes[:, -1] - boxes[:, 0])[:, :2].mean(0), (boxes[:, -1] - boxes[:, 0])[:, 0]
    assert np.abs(travel[0]).max() < 12 and travel[1].min() < -60 and travel[1].max() > 60
    widths = boxes[:, :, 2] - boxes[:, :, 0]
    assert 0.35 < (np.ptp(widths, axis=1) > 1e-6).mean() < 0.65


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_moving_camera_sees_at_rest_moves_with_the_background(seed: int) -> None:
    """A still thing keeps its place on the photograph; one that moves right gains on it."""
    filming = Painter({"apple": [cutout((220, 20, 20))]}, striped(), moving=1.0)

    def gained(motion: str) -> float:
        frames = draw(filming, Scene(motion, "apple"), seed).astype(float)
        thing = centres(is_red(frames.astype(np.uint8)))[:, 0]
        row = frames[:, 4, :, 2]  # above the thing
        place = [np.interp(x, np.arange(SIZE), line) / 0.6 for x, line in zip(thing, row, strict=True)]
        return abs(place[-1] - place[0])

    assert gained("still") < 8 and gained("right") > 40


def test_a_share_of_clips_has_a_moving_camera_and_the_others_are_drawn_as_without() -> None:
    cutouts, backgrounds = {"apple": [cutout((220, 20, 20))]}, striped()
    still, some = Painter(cutouts, backgrounds), Painter(cutouts, backgrounds, moving=0.25)
    scene = Scene("left", "apple")
    same = [np.array_equal(draw(still, scene, seed), draw(some, scene, seed)) for seed in range(120)]
    assert 0.65 < np.mean(same) < 0.85
