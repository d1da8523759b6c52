"""The dataflow of examples/dora. Running it in dora needs `pip install dora-rs`; without it that test skips."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
import yaml

import vljepa_edge
from tests.cli.conftest import write_video
from vljepa_edge.robots import watcher

EXAMPLE = Path(__file__).parents[2] / "examples" / "dora"


def test_the_dataflow_names_nodes_that_are_there_and_inputs_that_are_sent() -> None:
    nodes = yaml.safe_load((EXAMPLE / "dataflow.yml").read_text())["nodes"]
    sent = {f"{node['id']}/{output}" for node in nodes for output in node.get("outputs", ())}
    for node in nodes:
        source = (EXAMPLE / node["path"]).read_text()
        assert len(source.splitlines()) < 40
        for output in node.get("outputs", ()):
            assert f'send_output("{output}"' in source
        for given in node.get("inputs", {}).values():
            came_from = given["source"] if isinstance(given, dict) else given
            assert came_from in sent or came_from.startswith("dora/timer/")


class Flow:
    """In the place of dora's node and of the watcher: messages in, and what was sent and asked."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.asked: list[str] = []
        self._publish: Callable[[str], object] = print

    def watcher(self, model: object, publish: Callable[[str], object]) -> Flow:
        self._publish = publish
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        tick, query = {"type": "INPUT", "id": "tick"}, {"type": "INPUT", "id": "query"}
        yield tick
        self._publish("stalled")
        yield tick
        assert self.sent == ["stalled"]
        yield query | {"value": pa.array([], pa.string())}
        yield query | {"value": pa.array(["What moves?"])}
        yield {"type": "INPUT_CLOSED", "id": "image"}
        raise AssertionError("the timer keeps the node for ever")

    def send_output(self, _: str, value: pa.Array) -> None:
        self.sent += value.to_pylist()

    def change(self, query: str) -> None:
        self.asked.append(query)

    def close(self) -> None:
        self._publish("the last")


def test_events_between_images_are_sent_at_a_tick_and_a_query_that_is_no_text_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = Flow()
    monkeypatch.setitem(sys.modules, "dora", SimpleNamespace(Node=lambda: flow))
    monkeypatch.setattr(vljepa_edge, "load", lambda _: None)
    monkeypatch.setattr(watcher, "Watcher", flow.watcher)
    runpy.run_path(str(EXAMPLE / "watch.py"))
    assert flow.asked == ["What moves?"] and flow.sent == ["stalled", "the last"]
    assert "a text must be an array of one text, got 0 of string" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("dora") is None, reason="dora-rs is not installed")
def test_a_video_becomes_events_in_a_real_dataflow(toy: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "clip.mp4", 7)
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {
        "VLJEPA_MODEL": str(toy),
        "VLJEPA_SOURCE": str(video),
        "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(EXAMPLE.parents[1]), *sys.path]),
    }
    place = shutil.copytree(EXAMPLE, tmp_path / "dora", ignore=shutil.ignore_patterns("out"))  # dora writes beside it
    code = f"import dora; dora.run({str(place / 'dataflow.yml')!r})"
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in re.findall(r'\{"type": "event".*\}', ran.stdout + ran.stderr)]
    assert [event["status"] for event in events][:2] == ["open", "closed"] and events[-1]["status"] == "closed"
    assert events[-1]["end"] - events[0]["start"] == pytest.approx(7, abs=3)
    assert all(event["start"] > 1_700_000_000 for event in events)
