"""A benchmark's command that is stopped by Ctrl-C, and goes on when it is run again."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from tests.evaluation.made_up import write_csv
from tests.media import write_video

VIDEOS = 3 * 64  # three parts of what is kept at once


def test_a_command_that_was_stopped_goes_on_where_it_was(toy: Path, tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "cache/figures"
    rows = [[f"ret{n}", f"msr{n}", f"video{n}", f"text {n}"] for n in range(VIDEOS)]
    write_csv(data / "MSRVTT_JSFUSION_test.csv", [["key", "vid_key", "video_id", "sentence"], *rows])
    frames = [np.full((32, 32, 3), value, np.uint8) for value in range(0, 240, 8)]
    video = write_video(tmp_path / "video.mp4", frames, fps=10)
    for n in range(VIDEOS):
        shutil.copy(video, data / f"video{n}.mp4")
    what = ["eval", "msrvtt", "--data", str(data), "--model", str(toy), "--json"]
    command = [sys.executable, "-m", "vljepa_edge", *what]
    environment = {**os.environ, "VLJEPA_CACHE": str(tmp_path / "cache")}

    first = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while first.poll() is None and not any(len(file.stem) == 64 for file in kept.rglob("*.npy")):
        time.sleep(0.002)
    first.send_signal(signal.SIGINT)
    out, err = first.communicate()
    assert (first.returncode, out) == (130, b""), err
    parts = {file.name: file.stat().st_mtime_ns for file in kept.rglob("*") if file.is_file()}
    assert 1 <= len(parts) < 3, "a part, not all of them, and nothing half written"

    again = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert json.loads(again.stdout)["items"] == VIDEOS
    found = {file.name: file.stat().st_mtime_ns for file in kept.rglob("*") if file.is_file()}
    assert len(found) == 4, "three parts of the videos, one of the texts"
    assert {name: found[name] for name in parts} == parts, "what was embedded is not embedded again"
