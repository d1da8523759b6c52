"""Ends of programs, many times: `python tests/soak/ends.py --runs 200 [--model PATH]`. Exits 1 when one end is wrong.

Five ways to end while a live stream is at work: without close, Ctrl-C, SIGTERM, an exception in a callback, and fork.
Each run must end by itself within a minute, with its own status; where it is told to end, open segments must be closed.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import numpy as np

LIMIT = 60  # seconds of a run
LIBRARY = """
import os, signal, sys, time
import numpy as np
import vljepa_edge
model = vljepa_edge.load(sys.argv[1] or None, threads=2)
image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
def fail(event): raise RuntimeError("on purpose")
stream = model.open_stream(live=True, callback=fail if {callback} else None)
for number in range(12):
    stream.push(image, number / 4)
    time.sleep(float(sys.argv[2]))
"""
FORK = """
child = os.fork()
if child == 0:
    try:
        stream.flush()
    except vljepa_edge.ProcessError:
        sys.exit(7)
    sys.exit(8)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
WAYS = ("no close", "Ctrl-C", "SIGTERM", "callback", "fork")


def write_film(path: Path) -> Path:
    """Half an hour, so that nobody sees its end."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=4)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        for number in range(4 * 1800):
            image = np.full((16, 16, 3), number // 8 * 50 % 256, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
    return path


def run(way: str, model: str, film: Path, pause: float) -> str:
    """One program; "" when it ended well, else what was wrong. `pause`: seconds, different each time."""
    if way in ("Ctrl-C", "SIGTERM"):
        return run_command(signal.SIGINT if way == "Ctrl-C" else signal.SIGTERM, model, film, pause)
    code = LIBRARY.format(callback=way == "callback") + (FORK if way == "fork" else "")
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, model, str(pause / 12)], capture_output=True, text=True, timeout=LIMIT
        )
    except subprocess.TimeoutExpired:
        return "hang"
    wanted = 7 if way == "fork" else 0
    return "" if done.returncode == wanted else f"status {done.returncode}: {done.stderr[-300:]}"


def run_command(number: signal.Signals, model: str, film: Path, pause: float) -> str:
    """`vljepa stream`, told to end `pause` seconds after its first event."""
    command = [sys.executable, "-m", "vljepa_edge", "stream", str(film), "--json", "--open"]
    command += ["--policy", "uniform:period=2"]
    command += ["--model", model] if model else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first = process.stdout.readline()
    time.sleep(pause)
    process.send_signal(number)
    try:
        rest, said = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "hang"
    lines = [json.loads(line) for line in (first + rest).splitlines()]
    states = [line["status"] for line in lines if line["type"] == "event"]
    if process.returncode != 128 + number or said:
        return f"status {process.returncode}: {said[-300:]}"
    if lines[-1]["type"] != "summary" or states != ["open", "closed"] * (len(states) // 2):
        return f"the last line is {lines[-1]}"
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="of each way to end")
    parser.add_argument("--model", default="", help="a bundle; the embedded one by default")
    asked = parser.parse_args()
    chance = random.Random(0)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts jobs in the background without it
    wrong = dict.fromkeys(WAYS, 0)
    with tempfile.TemporaryDirectory() as folder:
        film = write_film(Path(folder, "film.mp4"))
        for number in range(1, asked.runs + 1):
            for way in WAYS:
                fault = run(way, asked.model, film, chance.uniform(0, 0.3))
                if fault:
                    wrong[way] += 1
                    print(f"run {number}, {way}: {fault}", flush=True)
            print(f"{number} of {asked.runs} runs of each; wrong: {wrong}", flush=True)
    return int(any(wrong.values()))


if __name__ == "__main__":
    sys.exit(main())
