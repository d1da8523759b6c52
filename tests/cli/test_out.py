"""`vljepa stream --out`: files that hold what was printed, however the stream ended."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import srt
import webvtt

import vljepa_edge.model
from tests.calibrated import LOGISTIC, write_calibrated
from tests.cli.conftest import Run, Vljepa, cut_off
from vljepa_edge.model import Model
from vljepa_edge.video.source import open_source

Spawn = Callable[..., "subprocess.Popen[str]"]
Line = tuple[float, float, str]


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch: pytest.MonkeyPatch, model: Model, toy: Path) -> None:
    """Commands in this process use one model of the toy bundle."""
    load = vljepa_edge.model.load
    monkeypatch.setattr(
        "vljepa_edge.model.load", lambda path, **options: model if path == toy else load(path, **options)
    )


def said(run: Run) -> list[Line]:
    """Start, end and text of the segments that a command printed as JSON."""
    events = [line for line in run.json_lines if line["type"] == "event" and line["status"] == "closed"]
    return [(round(event["start"], 3), round(event["end"], 3), event["text"]) for event in events]


def seconds_vtt(path: Path) -> list[Line]:
    """As webvtt-py reads it, with milliseconds."""
    cues = webvtt.read(str(path))
    return [(c.start_time.in_milliseconds() / 1000, c.end_time.in_milliseconds() / 1000, c.raw_text) for c in cues]


def seconds_srt(path: Path) -> list[Line]:
    cues = srt.parse(path.read_text("utf-8"))
    return [(cue.start.total_seconds(), cue.end.total_seconds(), cue.content) for cue in cues]


READERS = {".vtt": seconds_vtt, ".srt": seconds_srt}
each_format = pytest.mark.parametrize("suffix", READERS)


@each_format
def test_subtitles_hold_the_segments_that_are_printed(
    vljepa: Vljepa, video: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"clip{suffix}"
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status == 0, run.err
    assert READERS[suffix](out) == said(run) and len(said(run)) == 3
    assert run.err == "" and os.listdir(tmp_path) == [out.name]


@pytest.mark.parametrize("options", [[], ["--open"], ["--decode", "open"]])
def test_how_it_is_printed_does_not_matter(
    vljepa: Vljepa, video: Path, tmp_path: Path, options: list[str]
) -> None:
    out = tmp_path / "clip.vtt"
    run = vljepa("stream", video, "--policy", "uniform:period=3", "--json", "--out", out, *options)
    *events, _ = run.json_lines
    texts = {event["segment"]: event["text"] for event in events}  # the last one that has been printed
    read = seconds_vtt(out)
    assert [text for _, _, text in read] == list(texts.values())
    assert read[0][0] == 0 and read[-1][1] == pytest.approx(8.75, abs=0.01)
    plain = vljepa("stream", video, "--policy", "uniform:period=3", "--out", tmp_path / "again.vtt", *options)
    assert plain.status == 0 and seconds_vtt(tmp_path / "again.vtt") == read


def test_texts_that_are_not_sure_enough_are_left_out(vljepa: Vljepa, video: Path, toy: Path, tmp_path: Path) -> None:
    bundle = write_calibrated(toy, tmp_path / "sure", general=["Something is red."], caption=LOGISTIC, slope=9.0)
    out = tmp_path / "clip.srt"
    words = ("stream", video, "--policy", "uniform:period=1", "--model", bundle, "--json", "--out", out)
    *events, _ = vljepa(*words).json_lines
    least = sorted(event["confidence"] for event in events)[len(events) // 2]
    run = vljepa(*words, "--min-confidence", least)
    wordings = {event["wording"] for event in run.json_lines[:-1]}
    assert "specific" in wordings and len(wordings) > 1
    kept = [event for event in run.json_lines[:-1] if event["wording"] == "specific"]
    seen = {(start, text) for start, _, text in seconds_srt(out)}
    assert seen <= {(event["start"], event["text"]) for event in kept}
    assert sum(end - start for start, end, _ in seconds_srt(out)) == pytest.approx(
        sum(event["end"] - event["start"] for event in kept), abs=0.001 * len(kept)
    )


def test_labels_are_subtitles(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.vtt"
    run = vljepa("stream", video, "--labels", "cup,car,<b>", "--json", "--out", out)
    assert run.status == 0, run.err
    named = [
        ", ".join(item["label"] for item in event["labels"]) for event in run.json_lines[:-1] if event["labels"]
    ]
    read = [text.replace("&lt;", "<").replace("&gt;", ">") for _, _, text in seconds_vtt(out)]
    assert read == named


def test_json_lines_are_those_of_stdout(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.jsonl"
    out.write_text("old\n" * 1000)
    run = vljepa("stream", video, "--open", "--json", "--out", out)
    assert out.read_text() == run.out
    vljepa("stream", video, "--open", "--out", out)

    def without_speed(text: str) -> list[dict[str, object]]:
        rows = [json.loads(line) for line in text.splitlines()]
        return [{k: v for k, v in row.items() if k not in ("latency_ms", "realtime_factor")} for row in rows]

    assert without_speed(out.read_text()) == without_speed(run.out), "also without --json"


def test_json_lines_are_there_while_the_stream_runs(spawn: Spawn, long_video: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.jsonl"
    process = spawn("stream", long_video, "--policy", "uniform:period=5", "--json", "--out", out)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert out.read_text().startswith(first) and process.poll() is None
    process.kill()
    process.wait()


def test_the_video_with_captions(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status == 0 and run.err == "", run.err
    assert len(said(run)) == 3 and os.listdir(tmp_path) == ["out.mp4"]
    frames = list(open_source(out))
    assert [frame.time for frame in frames] == pytest.approx([frame.time for frame in open_source(video)], abs=0.001)
    images = [frame.image.astype(int) for frame in frames]
    assert all(image.min(2)[24:].max() > 120 > image.min(2)[:20].max() for image in images), "white letters to the end"
    changes = [two.time for one, two in pairwise(frames) if np.abs(one.image.astype(int) - two.image).max() > 60]
    assert changes == pytest.approx([start for start, _, _ in said(run)][1:], abs=0.15)


def test_without_the_end_of_the_source_there_is_no_video(
    spawn: Spawn, vljepa: Vljepa, long_video: Path, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.mp4"
    out.write_text("before")
    process = spawn("stream", long_video, "--policy", "uniform:period=5", "--json", "--out", out)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    said = f"warning: {out} was not written: the end of the source was not reached\n"
    assert process.returncode == 130 and errors == said
    cut_off(monkeypatch, after=20)
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status == 2 and run.err.startswith(said)
    assert out.read_text() == "before" and os.listdir(tmp_path) == ["out.mp4"]


def test_a_sound_that_is_left_out_is_a_warning(vljepa: Vljepa, tmp_path: Path) -> None:
    clip, out = tmp_path / "clip.mkv", tmp_path / "out.mp4"
    with av.open(str(clip), "w") as container:
        stream, voice = container.add_stream("mpeg4", rate=4), container.add_stream("pcm_s16le", rate=8000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
        samples.sample_rate = 8000
        container.mux([*stream.encode(), *voice.encode(samples), *voice.encode()])
    run = vljepa("stream", clip, "--json", "--out", out)
    said = f"{clip}: its sound (pcm_s16le) can't be copied into an .mp4 file; out.mp4 will have none"
    assert run.status == 0 and run.err == f"warning: {said}\n" and run.json_lines[-1]["warnings"] == [said]
    assert out.stat().st_size > 500


def test_without_pillow_the_command_that_adds_it_is_named(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "PIL" else find(name, *rest))
    run = vljepa("stream", video, "--out", tmp_path / "out.mp4")
    assert run.status == 1 and "this needs PIL, of the captions extra; run: " in run.err and "[captions]" in run.err
    assert vljepa("stream", video, "--out", tmp_path / "out.vtt").status == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_complete_subtitles_of_what_was_seen(
    spawn: Spawn, long_video: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "clip.vtt"
    process = spawn("stream", long_video, "--policy", "uniform:period=5", "--json", "--out", out)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert seconds_vtt(out)[-1][1] >= json.loads(first)["end"], "it is complete at any time"
    process.send_signal(number)
    lines = [json.loads(line) for line in [first, *process.stdout.readlines()]]
    assert process.wait(timeout=60) == 128 + number
    *events, summary = lines
    assert summary["type"] == "summary"
    read = seconds_vtt(out)
    assert read[0][0] == 0 and read[-1][1] == pytest.approx(events[-1]["end"], abs=0.001)
    assert {text for _, _, text in read} == {event["text"] for event in events}
    assert os.listdir(tmp_path) == ["clip.vtt"]


@each_format
def test_a_source_that_dies_leaves_complete_subtitles_of_what_was_seen(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    out = tmp_path / f"clip{suffix}"
    cut_off(monkeypatch, after=20)
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status == 2 and run.err.endswith("lost\n")
    assert READERS[suffix](out) == said(run) and said(run)[-1][1] == 4.75


def test_a_source_that_gives_nothing_leaves_the_file_that_was_there(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "clip.vtt"
    out.write_text("before")
    cut_off(monkeypatch, after=0)
    assert vljepa("stream", video, "--out", out).status == 2
    assert out.read_text() == "before"
    assert vljepa("stream", "nowhere.mp4", "--out", out).status == 2
    assert out.read_text() == "before"


def test_a_file_that_is_replaced_keeps_its_mode(vljepa: Vljepa, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.vtt"
    out.write_text("before")
    out.chmod(0o604)
    assert vljepa("stream", photo, "--out", out).status == 0
    assert out.read_text() == "WEBVTT\n", "a photo lasts no time"
    assert stat.S_IMODE(out.stat().st_mode) == 0o604


def test_what_can_be_known_is_refused_before_anything_is_loaded(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_edge.model.load", lambda *_, **__: pytest.fail("it was loaded"))
    (tmp_path / "folder.vtt").mkdir()
    link = tmp_path / "link.jsonl"
    link.symlink_to(video)
    before = video.read_bytes()
    for out, reason in (
        ("clip.txt", "--out must be a file that ends with .vtt, .srt, .jsonl, .mcap or .mp4"),
        ("clip", "got 'clip'"),
        (tmp_path / "folder.vtt", "got the folder"),
        (tmp_path / "missing" / "clip.srt", "missing is no folder; make it first"),
        ("/proc/clip.vtt", "can't be written"),
        (link, "another file than the source"),
        (video, "another file than the source"),
    ):
        run = vljepa("stream", video, "--out", out)
        assert run.status == 2 and reason in run.err and run.err.count("\n") == 1, run.err
    run = vljepa("stream", video.as_uri(), "--out", video)
    assert run.status == 2 and "another file than the source" in run.err
    for source, reason in (
        ("camera:0", "captions can be drawn into a video file, not into a live source, got camera:0"),
        ("rtsp://me:hunter2@cam/door", "got rtsp://cam/door; name a file"),
        ("nowhere.mp4", "nowhere.mp4: no such file"),
        ("ftp://host/clip.mp4", "the protocol ftp:// is not supported"),
    ):
        run = vljepa("stream", source, "--out", tmp_path / "out.mp4")
        assert run.status == 2 and reason in run.err and run.err.count("\n") == 1, run.err
    assert video.read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ["folder.vtt", "link.jsonl"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("name", ["clip.vtt", "clip.jsonl"])
def test_a_full_disk_is_one_line_that_names_the_file(vljepa: Vljepa, video: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    out.symlink_to("/dev/full")
    run = vljepa("stream", video, "--out", out)
    assert run.status == 1
    assert run.err == f"error: {out}: No space left on device\n"


def test_a_pipe_gets_the_lines(vljepa: Vljepa, photo: Path, tmp_path: Path) -> None:
    out = tmp_path / "clip.jsonl"
    os.mkfifo(out)
    reader = subprocess.Popen(["cat", str(out)], stdout=subprocess.PIPE, text=True)
    run = vljepa("stream", photo, "--json", "--out", out)
    read, _ = reader.communicate(timeout=20)
    assert run.status == 0 and read == run.out
