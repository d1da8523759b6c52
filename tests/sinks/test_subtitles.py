"""WebVTT and SubRip as two other parsers read them: webvtt-py or srt, and FFmpeg."""

from __future__ import annotations

import html
import io
from datetime import timedelta
from pathlib import Path

import av
import pytest
import srt
import webvtt
from av.subtitles.subtitle import AssSubtitle
from hypothesis import given, settings
from hypothesis import strategies as st

from vljepa_edge.sinks.captions import Cue, one_line
from vljepa_edge.sinks.subtitles import subrip
from vljepa_edge.sinks.subtitles import webvtt as as_webvtt

TRICKY = (
    "a <i>dog</i> & a cat",
    "00:00:01.000 --> 00:00:02.000",
    "WEBVTT",
    "NOTE this",
    "STYLE",
    "7",
    "{\\an8}up",
    "&lt;b&gt;",
    "<00:00:01.000>word",
    "naïve 猫 🐈",
    "#hash ; { } < >",
)
lines = st.one_of(st.sampled_from(TRICKY), st.text(max_size=30)).map(one_line).filter(bool)


TIMES = TRICKY[1]  # below a line that is a number, package srt reads it as the head of a cue, whatever the arrow is


@st.composite
def cue_lists(draw: st.DrawFn, lines: st.SearchStrategy[str] = lines) -> list[Cue]:
    found, time = [], 0
    for _ in range(draw(st.integers(0, 5))):
        start = time + draw(st.integers(0, 5_000_000))
        time = start + draw(st.integers(1, 400_000_000))
        found.append(Cue(start, time, tuple(draw(st.lists(lines, min_size=1, max_size=3)))))
    return found


@given(cue_lists(), st.integers(0, 5))
@settings(max_examples=50)
def test_a_file_can_be_written_in_parts(cues: list[Cue], first: int) -> None:
    for write in (as_webvtt, subrip):
        assert write(cues[:first]) + write(cues[first:], len(cues[:first])) == write(cues)


@given(cue_lists())
@settings(max_examples=50)
def test_webvtt_py_reads_the_cues(cues: list[Cue]) -> None:
    parsed = webvtt.from_buffer(io.BytesIO(as_webvtt(cues).encode()))
    read = [
        Cue(one.start_time.in_milliseconds(), one.end_time.in_milliseconds(), tuple(one.raw_text.split("\n")))
        for one in parsed
    ]
    assert [cue._replace(lines=tuple(map(html.unescape, cue.lines))) for cue in read] == cues
    assert all("<" not in line and ">" not in line for cue in read for line in cue.lines)


LIKE = str.maketrans("<>{}", "‹›()")


@given(cue_lists(lines.filter(lambda line: line != TIMES)))
@settings(max_examples=50)
def test_srt_reads_the_cues(cues: list[Cue]) -> None:
    parsed = list(srt.parse(subrip(cues)))
    assert [item.index for item in parsed] == list(range(1, len(cues) + 1))
    milliseconds = timedelta(milliseconds=1)
    read = [
        Cue(item.start // milliseconds, item.end // milliseconds, tuple(item.content.split("\n"))) for item in parsed
    ]
    assert read == [cue._replace(lines=tuple(line.translate(LIKE) for line in cue.lines)) for cue in cues]


# How FFmpeg writes line breaks and what is special in ASS, to which it converts subtitles.
ESCAPES = {"\\N": "\n", "\\{{}": "{", "\\\u2060": "\\"}


def read_by_ffmpeg(path: Path) -> list[tuple[int, int, str]]:
    """Start, end in milliseconds and text, markup resolved, of each cue."""
    found = []
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        for packet in container.demux(stream):
            for part in stream.decode2(packet) or ():
                assert isinstance(part, AssSubtitle) and packet.pts is not None and packet.duration is not None
                start = round(packet.pts * packet.time_base * 1000)
                text = part.ass.decode().split(",", 8)[8]
                for escape, character in ESCAPES.items():
                    text = text.replace(escape, character)
                found.append((start, start + round(packet.duration * packet.time_base * 1000), text))
    return found


@pytest.mark.parametrize("suffix", [".vtt", ".srt"])
def test_ffmpeg_reads_the_same_text_and_no_markup(tmp_path: Path, suffix: str) -> None:
    cues = [Cue(1000 * number, 1000 * number + 999, (text, "second line")) for number, text in enumerate(TRICKY)]
    path = tmp_path / f"cues{suffix}"
    path.write_text(as_webvtt(cues) if suffix == ".vtt" else subrip(cues), "utf-8")
    alike: dict[int, str] = LIKE if suffix == ".srt" else {}
    read = read_by_ffmpeg(path)
    assert [(start, end) for start, end, _ in read] == [(cue.start, cue.end) for cue in cues]
    for (_, _, text), cue in zip(read, cues, strict=True):
        assert text.split("\n") == [line.translate(alike) for line in cue.lines]


def test_no_cues_are_a_file_that_parses() -> None:
    assert len(webvtt.from_buffer(io.BytesIO(as_webvtt([]).encode()))) == 0
    assert list(srt.parse(subrip([]))) == []


def test_the_formats_in_full() -> None:
    cues = [Cue(0, 3_723_004, ("a & b", "c")), Cue(360_000_000, 360_000_001, ("d",))]
    assert as_webvtt(cues) == (
        "WEBVTT\n\n00:00:00.000 --> 01:02:03.004\na &amp; b\nc\n\n100:00:00.000 --> 100:00:00.001\nd\n"
    )
    assert subrip(cues) == (
        "1\n00:00:00,000 --> 01:02:03,004\na & b\nc\n\n2\n100:00:00,000 --> 100:00:00,001\nd\n"
    )
