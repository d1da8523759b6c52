"""Fixtures for tests that need a model: the toy bundle on one OpenVINO thread at 32 bits."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.toy_bundle import write_toy_bundle
from tests.turns import take_turns
from vljepa_edge.model import Model, load

settings.register_profile("default", deadline=None)
settings.load_profile("default")

# Graphs that tests compile are kept for the next run, in the tree and not in the user's folder.
os.environ.setdefault("VLJEPA_COMPILED", str(Path(__file__).parents[1] / "build" / "compiled"))

if "PYTEST_XDIST_WORKER" in os.environ:  # each has one core
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts background jobs with SIGINT ignored, and nohup ignores SIGHUP. Programs that tests start inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    """See `tests.turns`."""
    take_turns(config)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy bundle: 8 frames of 32 x 32 at 4 frames a second, 16 wide."""
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy")


@pytest.fixture(scope="session")
def model(toy: Path) -> Model:
    """The toy bundle, loaded."""
    return load(toy, threads=1, precision="f32")
