"""Ours of every stage under pytest-benchmark, to compare with an earlier run: `pytest benchmarks --benchmark-only`.

The cases are those of `python -m benchmarks`, which times them beside their peers. Left out is V-JEPA 2, which takes
minutes to make. CONTRIBUTING.md has the two commands of a comparison.
"""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import STAGES
from benchmarks.bench import Bench
from benchmarks.comparison import Stage
from benchmarks.limits import Limits

ROUNDS = 20
LEFT_OUT = "vjepa2"


@cache
def stages() -> dict[str, Stage]:
    """By title. Without limits, which only documents tell."""
    folder = tempfile.TemporaryDirectory(prefix="vljepa-bench-")
    atexit.register(folder.cleanup)
    bench = Bench(None, Path(folder.name), Limits({}, {}))
    names = [name for name in STAGES if name != LEFT_OUT]
    return {stage.title: stage for name in names for stage in import_module(f"benchmarks.{name}").stages(bench)}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("title", list(stages()))


def test_ours(title: str, benchmark: Any) -> None:
    case = stages()[title].cases[0]
    benchmark.pedantic(case.run, rounds=ROUNDS, iterations=case.calls, warmup_rounds=1)
