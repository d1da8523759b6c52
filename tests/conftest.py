"""Fixtures for tests that need a model: the toy bundle on one OpenVINO thread at 32 bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.toy_bundle import write_toy_bundle
from vljepa_edge.model import Model, load

settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a toy bundle: 8 frames of 32 x 32 at 4 frames a second, 16 wide."""
    return write_toy_bundle(tmp_path_factory.mktemp("bundles") / "toy")


@pytest.fixture(scope="session")
def model(toy: Path) -> Model:
    """The toy bundle, loaded."""
    return load(toy, threads=1, precision="f32")
