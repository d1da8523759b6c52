"""The package of ROS, importable, and its node."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vljepa_edge.model
from tests.ros2.ros_stand_in import Logger, Node, ros
from vljepa_edge.model import Model

Make = Callable[..., Any]
Ended = Callable[..., tuple[int, list[str]]]
PACKAGE = Path(__file__).parents[2] / "ros2" / "vljepa_ros"


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(PACKAGE))
    return PACKAGE


@pytest.fixture
def make(package: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the node with parameters, on the toy bundle; it is destroyed at the end."""
    monkeypatch.setattr(vljepa_edge, "load", lambda path, **options: model, raising=False)
    made: list[Any] = []

    def new(**overrides: Any) -> Any:
        monkeypatch.setattr(Node, "overrides", overrides)
        made.append(module.VljepaNode())
        return made[-1]

    with ros():
        module = importlib.import_module("vljepa_ros.node")
        yield new
        for node in made:
            node.destroy_node()
    _forget()


@pytest.fixture
def ended(package: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ended]:
    """Runs the program with parameters, on the toy bundle: its exit status, and what it says of its failure."""
    monkeypatch.setattr(vljepa_edge, "load", lambda path, **options: model, raising=False)

    def run(**overrides: Any) -> tuple[int, list[str]]:
        monkeypatch.setattr(Node, "overrides", overrides)
        logger = Logger()
        with ros(logger):
            status = importlib.import_module("vljepa_ros.node").main()
        return status, logger.failures

    yield run
    _forget()


def _forget() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "vljepa_ros"]:
        del sys.modules[name]
