"""A head in C++ gives the probabilities and the events that it gives in Python."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.perception.test_head import make_head
from vljepa_edge.streaming.hysteresis import Hysteresis

BINDINGS = Path(__file__).parents[2] / "bindings"
HOLD = 0.5


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    out = tmp_path_factory.mktemp("head") / "run_head"
    sources = (BINDINGS / "src" / "core" / "head.cpp", BINDINGS / "tests" / "run_head.cpp")
    command = [compiler, "-std=c++17", f"-I{BINDINGS / 'include'}", *map(str, sources), "-o", str(out)]
    subprocess.run(command, check=True)
    return out


@pytest.mark.parametrize("seed", range(5))
def test_a_head_decides_in_c_plus_plus_as_in_python(program: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    head = make_head(width=40, slope=2.0, offset=-0.5, threshold=0.55)
    count = 200
    times = np.cumsum(0.25 + rng.uniform(-0.03, 0.03, count)) + 100
    middles = times - 0.875
    steps = rng.normal(size=(count, 40)).cumsum(0) / 8  # what is seen lasts for a few hops
    rows = (steps - steps.mean(0)).astype(np.float32)
    begin, end = head.threshold, head.threshold * 2 / 3
    numbers = [3, 40, head.slope, head.offset, begin, end, HOLD, count]
    lines = [numbers, head.weights.ravel().tolist(), head.bias.tolist()]
    lines += [[t, m, *row] for t, m, row in zip(times.tolist(), middles.tolist(), rows.tolist(), strict=True)]
    text = "\n".join(" ".join(map(repr, line)) for line in lines)
    told = subprocess.run([program], input=text, capture_output=True, text=True, check=True).stdout.splitlines()

    chances = head.probabilities(rows)
    found = np.array([[float(value) for value in line.split()[1:]] for line in told if line.startswith("p")])
    np.testing.assert_allclose(found, chances, atol=1e-5)  # Python's product is float32
    assert np.abs(found[..., None] - [begin, end]).min() > 1e-5, "or rounding decides"

    expected: list[tuple[int, float, float, float]] = []
    states = [Hysteresis(begin, end, HOLD).start() for _ in range(3)]
    for row, time, middle in zip(chances, times.tolist(), middles.tolist(), strict=True):
        for label, state in enumerate(states):
            one = state.push(float(row[label]), time, middle)
            if one is not None:
                expected.append((label, one.start, math.nan if one.end is None else one.end, one.peak))
    for label, state in enumerate(states):
        last = state.finish()
        if last is not None and last.end is not None:
            expected.append((label, last.start, last.end, last.peak))
    events = [tuple(float(value) for value in line.split()[1:]) for line in told if line.startswith("o")]
    assert len(expected) >= 6
    np.testing.assert_allclose(events, expected, atol=1e-5)
