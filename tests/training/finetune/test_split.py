"""Which clips are held out: by the video's own bytes, never two stretches of one video on both sides."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.errors import InputError
from vljepa_edge.training.finetune.split import split


def digests(count: int) -> list[str]:
    return [hashlib.sha256(str(i).encode()).hexdigest() for i in range(count)]


tables = st.integers(3, 60).flatmap(
    lambda videos: st.tuples(
        st.lists(st.integers(0, videos - 1), min_size=10, max_size=120), st.just(videos)
    )  # which video each clip is of
)


@given(tables, st.floats(0.01, 0.9))
def test_every_clip_is_in_one_part_with_all_clips_of_its_video(table: tuple[list[int], int], share: float) -> None:
    places, videos = table
    media = [digests(videos)[place] for place in places] + digests(3)
    parts = split(media, share)
    rows = np.concatenate([parts.train, parts.validation, parts.held_out])
    assert sorted(rows) == list(range(len(media)))
    sides = [{media[row] for row in part} for part in (parts.train, parts.validation, parts.held_out)]
    assert all(sides)
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]


@given(st.permutations(digests(40)))
def test_the_choice_does_not_depend_on_the_order_of_the_table(media: list[str]) -> None:
    expected = {digests(40)[row] for row in split(digests(40), 0.1).held_out}
    assert {media[row] for row in split(media, 0.1).held_out} == expected


def test_a_tenth_is_a_tenth() -> None:
    parts = split(digests(200), 0.1)
    assert len(parts.held_out) == 20
    assert len(parts.validation) == 18
    assert len(parts.train) == 162


@pytest.mark.parametrize(("clips", "videos"), [(9, 9), (200, 2)])
def test_too_little_is_refused(clips: int, videos: int) -> None:
    media = [digests(videos)[i % videos] for i in range(clips)]
    with pytest.raises(InputError, match=f"at least 10 clips of 3 videos, got {clips} of {videos}"):
        split(media, 0.1)
