"""The package of ROS, importable, and its node."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import vljepa_edge.model
from tests.ros2.ros_stand_in import Node, ros
from vljepa_edge.model import Model

Make = Callable[..., Any]
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
    for name in [name for name in sys.modules if name.partition(".")[0] == "vljepa_ros"]:
        del sys.modules[name]
