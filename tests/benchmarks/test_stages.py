"""The cases of the stages are made once and run by two drivers, so each must run as it is made."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import policy_push
from benchmarks.__main__ import STAGES
from benchmarks.bench import Bench
from benchmarks.comparison import Comparison, Limit, Stage
from benchmarks.interleave import Case
from benchmarks.limits import Limits

pytestmark = pytest.mark.alone

ROOT = Path(__file__).resolve().parents[2]
LIMITS = Limits({(kind, n): 1e11 for kind in ("bf16", "f16", "f32", "int8") for n in (1, 2)}, {1: 1e10, 2: 1e10})


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(None, tmp_path_factory.mktemp("bench"), LIMITS, seconds=0.0, least=1)


def test_a_comparison_is_told_of_the_samples_of_all_cases(bench: Bench) -> None:
    ran: list[str] = []
    cases = [Case(name, lambda name=name: ran.append(name)) for name in ("ours", "peer")]  # type: ignore[misc]
    stage = Stage("it", cases, lambda samples: Comparison("it", samples, Limit(1.0, "nothing")))
    found = bench.compare(stage)
    assert [samples.name for samples in found.samples] == ["ours", "peer"] and sorted(set(ran)) == ["ours", "peer"]


def test_ours_and_every_peer_run_once(bench: Bench) -> None:
    for stage in policy_push.stages(bench):
        for case in stage.cases:
            case.run()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in STAGES if name != "vjepa2"])
def test_every_stage_is_compared(tmp_path: Path, name: str) -> None:
    bench = Bench(None, tmp_path, LIMITS, seconds=0.0, least=2)
    for stage in import_module(f"benchmarks.{name}").stages(bench):
        found = bench.compare(stage)
        assert found.title == stage.title and found.ours.median > 0


@pytest.mark.slow
def test_pytest_benchmark_runs_ours_of_every_stage() -> None:
    """Once each and not timed."""
    pytest.importorskip("pytest_benchmark")
    command = [sys.executable, "-m", "pytest", "-q", "benchmarks", "--benchmark-disable", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "passed" in done.stdout and "skipped" not in done.stdout
