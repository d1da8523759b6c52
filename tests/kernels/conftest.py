"""Starts what takes minutes beside all other tests, at the lowest priority; prints the mutation score at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITE = Path(__file__).parent / "interpreter"
_PYTEST = ("pytest", str(SUITE), "-q", "-s", "-p", "no:cacheprovider", "--tb=short")
_score: list[str] = []


class Aside:
    """`python -m ...` in a process of its own, which begins before the first test and leaves the cores to them."""

    def __init__(self, module: tuple[str, ...], changed: Mapping[str, str]) -> None:
        self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open for as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", *module],
            cwd=ROOT,
            env={**os.environ, **changed},
            stdout=self._file,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.nice(19) and None,
        )

    def result(self) -> tuple[int, str]:
        """Exit status and everything printed."""
        status = self._process.wait(timeout=3600)
        self._file.seek(0)
        return status, self._file.read()

    def end(self) -> None:
        """Kill it if it runs still."""
        self._process.kill()
        self._process.wait()
        self._file.close()


_started = pytest.StashKey[dict[str, Aside]]()
# TRITON_INTERPRET must be set before the kernels are imported; each of its threads would be a busy one.
_ASIDE = {
    "interpreter": (_PYTEST, {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}),
    "static_gate": (("vljepa_edge.kernels.tools.gate", "--check"), {}),
}


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts those that a test asks for, by the name of its fixture."""
    if os.environ.get("TRITON_INTERPRET") == "1" or session.config.option.collectonly:
        return  # within the interpreter's own suite
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    session.config.stash[_started] = {name: Aside(*_ASIDE[name]) for name in _ASIDE if name in wanted}


def pytest_sessionfinish(session: pytest.Session) -> None:
    for running in session.config.stash.get(_started, {}).values():
        running.end()


@pytest.fixture
def interpreter(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Exit status and output of pytest on the kernels as Python functions."""
    pytest.importorskip("triton")
    status, text = request.config.stash[_started]["interpreter"].result()
    if score := re.search(r"mutants caught: \d+/\d+", text):
        _score[:] = [score[0]]
    return status, text


@pytest.fixture
def static_gate(request: pytest.FixtureRequest) -> tuple[int, str]:
    """Exit status and output of the static gate against the committed file; Triton's cache keeps what it compiled."""
    return request.config.stash[_started]["static_gate"].result()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in _score:
        terminalreporter.write_sep("-", line)
