"""Starts the tiers that need a process of their own, both at once, and prints the mutation score at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "interpreter"
_score: list[str] = []


class Interpreter:
    """pytest on the kernels as Python functions: TRITON_INTERPRET must be set before they are imported."""

    def __init__(self, output: Path) -> None:
        self._file = output.open("w+")
        command = [sys.executable, "-m", "pytest", str(SUITE), "-q", "-s", "-p", "no:cacheprovider", "--tb=short"]
        environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=self._file, stderr=subprocess.STDOUT
        )  # fmt: skip

    def result(self) -> tuple[int, str]:
        """Exit status and everything printed."""
        status = self.process.wait(timeout=3600)
        self._file.seek(0)
        text = self._file.read()
        if score := re.search(r"mutants caught: \d+/\d+", text):
            _score[:] = [score[0]]
        return status, text


@pytest.fixture(scope="session", autouse=True)
def interpreter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Interpreter | None]:
    """Runs beside the other tests from the first of them on, where a test asks for it."""
    wanted = any("interpreter" in item.nodeid for item in request.session.items)
    if not wanted or os.environ.get("TRITON_INTERPRET") == "1":
        yield None
        return
    pytest.importorskip("triton")
    running = Interpreter(tmp_path_factory.mktemp("kernels") / "interpreter.txt")
    yield running
    running.process.kill()
    running.process.wait()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _score:
        terminalreporter.write_sep("-", line)
