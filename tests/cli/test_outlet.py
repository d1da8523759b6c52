"""Outputs of `vljepa stream` that can't be written for a while."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import srt

from tests.cli.conftest import Vljepa
from tests.sinks.small_disk import SmallFile
from tests.streaming.scenes import RED, scenes
from vljepa_edge.cli import outlet, output
from vljepa_edge.cli.out import SubtitleFile
from vljepa_edge.cli.outlet import WAITING, Outlet
from vljepa_edge.model import Model
from vljepa_edge.sinks.piece_file import Piece, PieceFile
from vljepa_edge.sinks.subtitles import subrip
from vljepa_edge.streaming.reader import EventReader

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(outlet, "time", clock)
    monkeypatch.setattr(output, "_warned", [])
    return clock


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallFile]:
    with SmallFile(str(tmp_path / "out"), "wb") as file:
        yield file


def opened(disk: SmallFile) -> Outlet:
    given = Outlet("out", "lines", lambda: PieceFile(disk, shared=True))
    given.live = True
    return given


def put(given: Outlet, *numbers: int) -> None:
    for number in numbers:
        given.put(lambda number=number: Piece(f"{number}\n".encode()))  # type: ignore[misc]


def lines(disk: SmallFile) -> list[int]:
    return [int(line) for line in Path(disk.name).read_text().splitlines()]


def test_what_a_full_disk_has_no_room_for_waits_for_it(
    disk: SmallFile, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    given = opened(disk)
    disk.room = 4
    put(given, 1, 2, 3)
    assert lines(disk) == [1, 2]
    disk.room = 1000
    put(given, 4)
    assert lines(disk) == [1, 2], "it is not tried again at once"
    clock.now += 1.1
    put(given, 5)
    assert lines(disk) == [1, 2, 3, 4, 5]
    put(given, 6)
    given.settle()
    given.close()
    assert lines(disk) == [1, 2, 3, 4, 5, 6]
    assert capsys.readouterr().err.splitlines() == [
        "warning: out: No space left on device; the stream goes on, and it is tried again",
        "warning: out: it is written again; 0 lines were lost",
    ]


def test_the_newest_stay_and_the_end_tells_how_many_were_lost(disk: SmallFile, clock: Clock) -> None:
    given = opened(disk)
    disk.room = 0
    put(given, *range(WAITING + 7))
    disk.room = 10000
    clock.now += 1000
    put(given, 1000)
    assert lines(disk) == [0, *range(9, WAITING + 7), 1000], "the first was made already: it is the next in the file"
    with pytest.raises(OSError, match=r"No space left on device; 8 lines were lost: 'out'"):
        given.close()


def test_it_is_tried_ever_more_seldom_and_once_more_at_the_end(
    disk: SmallFile, clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tries: list[float] = []

    def write(self: PieceFile, piece: Piece) -> None:
        tries.append(clock.now - 100)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(PieceFile, "write", write)
    given = opened(disk)
    for _ in range(400):
        put(given, 0)
        clock.now += 1
    assert tries == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363]
    given.settle()
    assert len(tries) == 13
    assert capsys.readouterr().err.splitlines()[1:] == ["warning: out: Input/output error; 400 lines were lost"]
    monkeypatch.undo()
    given.close()
    assert lines(disk) == [0] * 400, "the last try"


def test_of_a_file_the_error_comes_at_once_and_only_once(disk: SmallFile) -> None:
    given = opened(disk)
    given.live = False
    disk.room = 3
    put(given, 1)
    with pytest.raises(OSError, match="No space left on device: 'out'"):
        put(given, 2)
    given.close()
    assert lines(disk) == [1]


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of files pass for those of cameras."""
    init = EventReader.__init__

    def alive(self: EventReader, *args: object) -> None:
        init(self, *args)  # type: ignore[arg-type]
        self.source.live = True

    monkeypatch.setattr(EventReader, "__init__", alive)


@needs_full
def test_a_camera_with_a_full_output_goes_on_and_its_store_has_all(
    vljepa: Vljepa, video: Path, tmp_path: Path, live: None
) -> None:
    out, folder = tmp_path / "out.jsonl", tmp_path / "events"
    out.symlink_to("/dev/full")
    run = vljepa("stream", video, "--json", "--out", out, "--store", folder)
    *events, summary = run.json_lines
    with sqlite3.connect(folder / "events.db") as connection:
        ((stored,),) = connection.execute("SELECT COUNT(*) FROM event WHERE status = 'closed'")
    assert len(events) == stored == 3 and summary["type"] == "summary"
    warned = [
        f"{out}: No space left on device; the stream goes on, and it is tried again",
        f"{out}: No space left on device; 4 lines were lost",
    ]
    assert summary["warnings"] == warned
    assert run.status == 1
    assert run.err.splitlines() == [*(f"warning: {line}" for line in warned), f"error: {warned[1]}"]


def test_subtitles_of_a_camera_are_complete_at_any_time_and_have_all_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, model: Model
) -> None:
    out, room = tmp_path / "out.srt", 1 << 40
    file, plain = SmallFile(str(out), "wb"), Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode="r", **how: file if mode == "wb" else plain(path, mode, **how))
    sink = SubtitleFile(out, subrip)
    sink.begin(SimpleNamespace(source=SimpleNamespace(live=True)))  # type: ignore[arg-type]
    (first,) = (each for each in model.stream(scenes(RED), policy="uniform:period=9") if each.status == "closed")
    counts = []
    for number in range(40):
        start = 10.0 * number
        file.room = room if number % 10 < 5 else out.stat().st_size
        sink.event(replace(first, status="open", start=start, end=None, decided_at=start, text="", segment=number))
        clock.now += 100
        closed = {"start": start, "end": start + 10, "decided_at": start + 10, "text": f"scene {number}"}
        sink.event(replace(first, **closed, segment=number, wording="specific"))  # type: ignore[arg-type]
        clock.now += 100
        read = list(srt.parse(out.read_text()))
        assert [cue.content for cue in read] == [f"scene {n}" for n in range(len(read))]
        assert [cue.index for cue in read] == list(range(1, len(read) + 1))
        counts.append(len(read))
    assert counts[:12] == [1, 2, 3, 4, 5, 5, 5, 5, 5, 5, 11, 12]
    file.room = room
    sink.close(complete=False)
    assert len(list(srt.parse(out.read_text()))) == 40


@needs_full
@pytest.mark.parametrize("flag", ["--json", ""])
def test_a_camera_with_a_full_stdout_writes_its_file(
    toy: Path, video: Path, tmp_path: Path, live: None, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vljepa_edge.cli import app

    monkeypatch.setattr(output, "_warned", [])
    monkeypatch.setenv("VLJEPA_MODEL", str(toy))
    out = tmp_path / "out.jsonl"
    words = ["stream", str(video), "--out", str(out), *([flag] if flag else [])]
    with open("/dev/full", "w") as full, open(tmp_path / "err", "w+") as err:
        monkeypatch.setattr(sys, "stdout", full)
        monkeypatch.setattr(sys, "stderr", err)
        assert app(words, standalone_mode=False) == 1
    *events, summary = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(events) == 3 and summary["type"] == "summary"
    assert (tmp_path / "err").read_text().splitlines()[-1] == (
        "error: standard output: No space left on device; 4 lines were lost"
    )


def test_every_trouble_is_told_at_the_end(
    vljepa: Vljepa, video: Path, tmp_path: Path, live: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.cli.conftest import cut_off

    cut_off(monkeypatch, after=20)
    out = tmp_path / "out.jsonl"
    monkeypatch.setattr(PieceFile, "close", lambda self: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(5))))
    run = vljepa("stream", video, "--json", "--out", out)
    assert run.status == 2 and run.err.splitlines()[-1] == f"error: {video}: lost"
    assert f"error: {out}: Input/output error" in run.err.splitlines()
