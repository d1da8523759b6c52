"""`vljepa stream --rerun`: what was seen and said is in the file, as Rerun's own reader gives it back.

Needs `pip install rerun-sdk`, half a gigabyte; without it all but the first two tests skip.
"""

from __future__ import annotations

import importlib.util
import io
import os
import sys
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import COLOURS, Vljepa, cut_off
from vljepa_edge.cli.out_rerun import RerunSink
from vljepa_edge.model import Model
from vljepa_edge.video.frame import Frame

needs_rerun = pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="rerun-sdk is not installed")
Rows = dict[str, list[tuple[float, Any]]]


def read(path: Path, component: str) -> Rows:
    """Of each entity the times, in seconds, and values of a component, in the order of time."""
    from rerun.chunk import RrdReader

    rows: Rows = defaultdict(list)
    for chunk in RrdReader(path).stream():
        columns = chunk.to_record_batch().to_pydict()
        if component in columns and not chunk.is_static:
            times = [time.total_seconds() for time in columns["time"]]
            rows[chunk.entity_path] += [(t, v[0]) for t, v in zip(times, columns[component], strict=True) if v]
    return {entity: sorted(values, key=lambda row: row[0]) for entity, values in rows.items()}


def test_a_target_that_is_none_and_a_package_that_is_missing_are_said_before_anything(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vljepa_edge.model.load", lambda *_, **__: pytest.fail("it was loaded"))
    run = vljepa("stream", video, "--rerun", "clip.mp4")
    assert (
        run.status == 2 and "--rerun must be a file that ends with .rrd, viewer, or a rerun+http:// address" in run.err
    )
    run = vljepa("stream", video, "--rerun", tmp_path / "nosuch" / "a.rrd")
    assert run.status == 2 and "--rerun: " in run.err and "is no folder; make it first" in run.err
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "rerun" else find(name))
    run = vljepa("stream", video, "--rerun", tmp_path / "a.rrd")
    assert run.status == 1 and "this needs rerun, of the rerun extra; run: " in run.err
    assert os.listdir(tmp_path) == []


class Broken:
    """Stands in for a recording whose disk is full."""

    def __init__(self, *_: object) -> None:
        pass

    def save(self, path: Path) -> None:
        path.write_text("what there was room for")

    def flush(self, timeout_sec: float) -> None:
        raise RuntimeError("File-writer thread shut down prematurely")

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def test_a_full_disk_is_an_error_and_leaves_what_there_was_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", SimpleNamespace(RecordingStream=Broken))
    monkeypatch.setitem(sys.modules, "vljepa_edge.sinks.rerun_log", SimpleNamespace(RerunLog=Broken))
    out = tmp_path / "clip.rrd"
    sink = RerunSink(str(out))
    sink.begin(SimpleNamespace(stream=SimpleNamespace(subscribe=lambda _: None)))  # type: ignore[arg-type]
    sink.see(Frame(np.zeros((48, 64, 3), np.uint8), 0.0))
    with pytest.raises(OSError, match="thread shut down prematurely") as error:
        sink.close(complete=False)
    assert error.value.filename == str(out)
    assert out.read_text() == "what there was room for" and os.listdir(tmp_path) == [out.name]


@needs_rerun
def test_pictures_texts_changes_and_the_threshold_are_read_back(
    vljepa: Vljepa, video: Path, tmp_path: Path, model: Model
) -> None:
    out = tmp_path / "clip.rrd"
    policy = "running-ward:threshold=0.25"
    run = vljepa("stream", video, "--policy", policy, "--json", "--rerun", out, "-q", "What?", "-q", "A b/c?")
    assert run.status == 0, run.err
    *events, summary = run.json_lines
    assert os.listdir(tmp_path) == ["clip.rrd"]

    pictures = read(out, "EncodedImage:blob")["/camera"]
    assert len(pictures) == summary["frames"] == 36
    assert [time for time, _ in pictures] == pytest.approx([number / 4 for number in range(36)])
    for time, blob in pictures:
        shown = np.asarray(Image.open(io.BytesIO(bytes(blob))))
        assert shown.shape == (48, 64, 3)
        assert np.abs(shown.mean(axis=(0, 1)) - COLOURS[int(time / 3)]).max() < 12

    changes: dict[str, list[tuple[float, float]]] = {"What?": [], "A b/c?": []}
    with model.stream(video, list(changes), policy, decode="none") as reader:
        reader.stream.subscribe(lambda t, _, query: changes[query].append((t, reader.stream.changes[query])))
        list(reader)
    scalars = read(out, "Scalars:scalars")
    assert set(scalars) == {"/change/What\\?", "/change/A\\ b\\/c\\?", "/change/threshold"}
    for query, entity in (("What?", "/change/What\\?"), ("A b/c?", "/change/A\\ b\\/c\\?")):
        assert np.array(scalars[entity]) == pytest.approx(np.array(changes[query]), abs=1e-6)
    assert {value for _, value in scalars["/change/threshold"]} == {0.25}

    said = sorted((event["start"], event["text"]) for event in events)
    assert sorted(read(out, "TextLog:text")["/events"]) == [(pytest.approx(t), text) for t, text in said]
    assert {level for _, level in read(out, "TextLog:level")["/events"]} == {"closed"}
    texts = read(out, "TextDocument:text")
    assert sorted(row for rows in texts.values() for row in rows) == [(pytest.approx(t), text) for t, text in said]


@needs_rerun
def test_a_source_that_dies_leaves_a_complete_file_of_what_was_seen(
    vljepa: Vljepa, video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off(monkeypatch, after=21)
    run = vljepa("stream", video, "--rerun", tmp_path / "clip.rrd", "--json")
    assert run.status != 0 and "lost" in run.err
    assert len(read(tmp_path / "clip.rrd", "EncodedImage:blob")["/camera"]) >= 21
    assert len(read(tmp_path / "clip.rrd", "TextLog:text")["/events"]) == len(run.json_lines) - 1 > 0


@needs_rerun
def test_a_source_that_gives_nothing_leaves_the_file_that_was_there(
    vljepa: Vljepa, tmp_path: Path, video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "clip.rrd"
    out.write_text("before")
    assert vljepa("stream", tmp_path / "nosuch.mp4", "--rerun", out).status != 0

    cut_off(monkeypatch, after=0)
    assert vljepa("stream", video, "--rerun", out).status != 0
    assert out.read_text() == "before"
    assert os.listdir(tmp_path) == [out.name]


@needs_rerun
def test_an_address_that_is_none_is_one_line(vljepa: Vljepa, video: Path) -> None:
    run = vljepa("stream", video, "--rerun", "rerun+http://nowhere:port/x")
    assert run.status == 1
    (line,) = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert "rerun+http" in line and "it can't be opened (" in line
