"""200 stretches of the real videos that this project fetches: trained, killed three times, exported, streamed."""

from __future__ import annotations

import csv
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import vljepa_edge
from tests.cli.conftest import Vljepa
from tests.training.small_run import write_sources
from tests.training.test_loop import ENVIRONMENT, TRAIN, equal
from vljepa_edge.support.assets import AssetError
from vljepa_edge.training.tiny.real_sets import videos

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS = 200


def write_table(folder: Path) -> Path:
    """200 rows, every other one a question, over what the project's own labels say of the videos."""
    try:
        found = [video for video in videos() if video.windows]
    except (AssetError, ImportError) as error:
        pytest.skip(f"the real videos can't be had: {error}")
    windows = [(video, window) for video in found for window in video.windows]
    rng = random.Random(0)
    for name, header in (("clips", "caption"), ("asked", "question,answer")):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "start", "end", *header.split(",")])
            for number in range(ROWS // 2):
                video, window = windows[number % len(windows)]
                start = window.start + rng.uniform(0, 0.3) * (window.end - window.start)
                said = (window.descriptions[0],) if name == "clips" else ("Which colour is it?", window.label)
                writer.writerow([video.path, f"{start:.3f}", f"{window.end:.3f}", *said])
    return folder


@pytest.mark.slow
def test_a_table_over_real_videos_trains_survives_exports_and_streams(vljepa: Vljepa, tmp_path: Path) -> None:
    folder = write_table(tmp_path)
    frames = {"count": 4, "width": 32, "height": 32}
    stage = {"batch": 16, "frames": frames, "lr": 2e-3, "chunk": 8}
    run = tmp_path / "run.yaml"
    text = {
        "name": "real", "init": "sources", "device": "cpu", "model": write_sources(tmp_path / "sources"),
        "data": {name: {"path": str(folder / f"{name}.csv")} for name in ("clips", "asked")},
        "stages": [
            {"name": "pretrain", "query": False, "steps": 12, "data": {"clips": 1.0}, **stage},
            {"name": "sft", "query": True, "steps": 12, "data": {"asked": 3.0, "clips": 1.0}, **stage},
        ],
        "decoder": {"corpus": ["clips", "asked"], "steps": 20, "batch": 16},
        "checkpoint": {"every": 4}, "loader": {"workers": 1}, "parallel": {"bf16": False}, "peak": 0.1,
    }  # fmt: skip
    run.write_text(yaml.safe_dump(text))
    whole = vljepa("train", str(run), f"out={tmp_path / 'whole'}", "--json")
    assert whole.status == 0, whole.err
    killed, log, rng = tmp_path / "killed", tmp_path / "killed" / "log.jsonl", random.Random(1)
    for lines in (4 + rng.randrange(4), 11 + rng.randrange(4), 19 + rng.randrange(4)):
        resume = ["--resume", "latest"] if (killed / "latest").exists() else []
        process = subprocess.Popen([*TRAIN, str(run), f"out={killed}", *resume], env=ENVIRONMENT,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        deadline = time.monotonic() + 180
        while process.poll() is None and time.monotonic() < deadline:
            if log.exists() and len(log.read_text().splitlines()) >= lines:
                process.kill()
            time.sleep(0.005)
        assert process.wait() == -signal.SIGKILL
    ended = vljepa("train", str(run), f"out={killed}", "--resume", "latest", "--json")
    assert ended.status == 0, ended.err
    weights = [load_file(Path(one.json["model"]) / "model.safetensors") for one in (whole, ended)]
    assert equal(*weights) and all(bool(torch.isfinite(w).all()) for w in weights[0].values())
    out = tmp_path / "mine.vljepa"
    exported = vljepa("export", ended.json["model"], "--window", "4", "--out", str(out))
    assert exported.status == 0, exported.err
    events = list(vljepa_edge.load(out, threads=1).stream(videos()[0].path))
    assert events[-1].status == "closed"
