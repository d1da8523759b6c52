"""From starting `vljepa stream clip.mp4 --open` to its first event, with compiled graphs kept and without, interleaved.

python -m benchmarks.first_event [--rounds 9]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from vljepa_edge.cli.bench import write_clip
from vljepa_edge.engines.compiled_cache import OFF, VARIABLE

BARS = {"kept": 0.9, "compiled": 1.5}  # seconds on an idle machine


def first_event(clip: Path, compiled: str) -> tuple[float, float]:
    """Seconds until the first line, and of processor time until then; compiled: the value of VLJEPA_COMPILED."""
    command = [sys.executable, "-m", "vljepa_edge", "stream", str(clip), "--open", "--json"]
    before, begun = _processor_time(), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {VARIABLE: compiled}) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - begun
        process.kill()
    if b'"event"' not in line:
        raise RuntimeError(f"no event came, but {line!r}")
    return took, _processor_time() - before


def main() -> None:
    """Print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        clip, kept = Path(folder) / "clip.mp4", str(Path(folder) / "compiled")
        write_clip(clip, seconds=4)
        first_event(clip, kept)  # compiles, and keeps it
        found = [{"kept": first_event(clip, kept), "compiled": first_event(clip, OFF)} for _ in range(rounds)]
    print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    for name, bar in BARS.items():
        wall, processor = (median(each[name][i] for each in found) for i in (0, 1))
        print(f"{name}: {wall:.2f} s (bar {bar} s), {processor:.2f} s of processor time")
    ratio = median(each["kept"][0] / each["compiled"][0] for each in found)
    print(f"kept against compiled, median of the rounds: {ratio:.2f}")


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
