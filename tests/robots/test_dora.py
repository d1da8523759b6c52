"""The dataflow of examples/dora runs in dora. Needs `pip install dora-rs`; without it these tests skip."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import write_video

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
            assert (given["source"] if isinstance(given, dict) else given) in sent


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
