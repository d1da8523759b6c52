"""Sheets of what a model says of videos: the rows are the stream's, and the frames are of their times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import vljepa_edge
from benchmarks.look import FRAMES, THUMBNAIL, Row, look, sheet, table
from tests.media import write_video
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.errors import InputError
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.options import StreamOptions


def event(text: str, confidence: float | None, wording: str) -> Event:
    return Event(
        "closed", 1.0, 2.5, 2.5, text, np.zeros(4, np.float32), 0.1, "", 0, {}, confidence, wording,  # type: ignore[arg-type]
    )  # fmt: skip


def plain(level: int) -> np.ndarray:
    return np.full((THUMBNAIL[1], THUMBNAIL[0], 3), level, np.uint8)


def test_the_rows_are_what_a_stream_says_with_frames_from_within_each_segment(tmp_path: Path) -> None:
    video = tmp_path / "clip.mp4"
    write_video(video, 24)
    model = vljepa_edge.load(write_toy_bundle(tmp_path / "toy"), threads=1)
    options = StreamOptions(policy="uniform:period=1")
    rows = look(model, video, options)
    with model.stream(str(video), options=options) as events:
        said = [(one.start, one.end, one.text) for one in events if one.status == "closed"]
    assert [(row.event.start, row.event.end, row.event.text) for row in rows] == said and len(rows) >= 2
    assert all(len(row.frames) == FRAMES and row.raw == "" for row in rows)
    assert all(frame.shape == plain(0).shape for row in rows for frame in row.frames)


def test_a_sheet_has_every_row_and_frame_in_its_place() -> None:
    levels = [[10, 60, 110, 160], [20, 70, 120, 170]]
    rows = [Row(event("A cat.", 0.8, "specific"), tuple(map(plain, row)), "") for row in levels]
    picture = np.asarray(sheet("clip.mp4", rows))
    step = (picture.shape[0] - 34) // 2
    for number, row in enumerate(levels):
        for place, level in enumerate(row):
            left = 6 + place * (THUMBNAIL[0] + 6)
            assert (picture[34 + number * step + 70, left + 5 : left + THUMBNAIL[0] - 5] == level).all()
        below = picture[34 + number * step + THUMBNAIL[1] : 34 + (number + 1) * step]
        assert (below < 128).any()  # there is a text under the frames
    with pytest.raises(InputError, match=r"clip\.mp4 has no segments"):
        sheet("clip.mp4", [])


def test_the_lines_say_how_sure_it_is_and_what_was_kept_back() -> None:
    frames = (plain(0),) * FRAMES
    sure = Row(event("A cat sleeps.", 0.81, "specific"), frames, "")
    assert sure.lines() == ["[1.00 - 2.50 s] A cat sleeps.  (0.81, specific)"]
    general = Row(event("An animal.", 0.7, "general"), frames, "The tabby whirls.").lines()
    assert general == ["[1.00 - 2.50 s] An animal.  (0.70, general)", "  kept back: The tabby whirls."]
    assert Row(event("A cat.", None, "specific"), frames, "").lines() == ["[1.00 - 2.50 s] A cat."]
    silent = Row(event("", 0.1, "none"), frames, "The tabby whirls.")
    assert "| clip.mp4 | 1.00 to 2.50 | (not sure) | 0.10 | |" in table([("clip.mp4", silent)])
