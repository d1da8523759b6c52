"""Damages files at random and opens them: `python -m tests.fuzz --seconds 60 --seed 0`.

Each part, a file beside this one, has `cases(rng, folder)`, which gives (name, call) endlessly and keeps its files
in `folder`. A call may succeed or raise a VLJepaError. Anything else is a fault: the seed and the case are printed, the
folder is kept, and the status is 1. A crash or a call of over a minute ends the program with a traceback.
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from vljepa_edge.errors import VLJepaError

Cases = Callable[[random.Random, Path], Iterator[tuple[str, Callable[[], object]]]]
PARTS = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))


def run(
    part: str, cases: Cases, seed: int, seconds: float, folder: Path, hangs: TextIO | None = None
) -> Counter[str] | None:
    """How many calls of a part succeeded and were refused; None after a fault, which is printed.

    hangs: a call of over a minute ends the program with its traceback there.
    """
    counts: Counter[str] = Counter()
    ends = time.monotonic() + seconds
    for name, call in cases(random.Random(f"{part} {seed}"), folder):
        if hangs is not None:
            faulthandler.dump_traceback_later(60, exit=True, file=hangs)
        try:
            call()
            counts["succeeded"] += 1
        except VLJepaError:
            counts["refused"] += 1
        except KeyboardInterrupt:
            raise
        except BaseException:
            print(f"{part}: case {counts.total()} of seed {seed}, {name}, kept in {folder}\n{traceback.format_exc()}")
            return None
        if time.monotonic() > ends:
            break
    return counts


def main() -> int:
    """The seconds are shared by the parts. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Damage files at random and open them.")
    parser.add_argument("--seconds", type=float, default=60, help="for all parts together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", choices=PARTS, help="only this one")
    given = parser.parse_args()
    parts = [given.part] if given.part else PARTS
    faulthandler.enable(sys.__stdout__)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what libraries print of damaged files
    for part in parts:
        folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{part}-"))
        cases: Cases = importlib.import_module(f"tests.fuzz.{part}").cases
        print(f"{part}: seed {given.seed}, in {folder}", flush=True)
        counts = run(part, cases, given.seed, given.seconds / len(parts), folder, sys.__stdout__)
        if counts is None:
            return 1
        print(
            f"{part}: {counts.total()} cases, {counts['succeeded']} succeeded, {counts['refused']} refused", flush=True
        )
        shutil.rmtree(folder)
    faulthandler.cancel_dump_traceback_later()
    return 0


if __name__ == "__main__":
    sys.exit(main())
