"""The floors of the house: which package may import which, and that no import goes in a circle.

Every import counts: at the top of a module, inside a function, and under `if TYPE_CHECKING`.
"""

from __future__ import annotations

import ast
import importlib
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from vljepa_edge.moved import MOVED

ROOT = Path(__file__).parents[1]
# Folder -> the name it is imported by.
TREES = {"vljepa_edge": "vljepa_edge", "kernels": "vljepa_edge.kernels", "training": "vljepa_edge.training"}

# Part of the package -> the parts that it may import beside itself. `vljepa_edge` is the package's own __init__.
RUNTIME = {"errors", "support", "_core", "bundle", "engines", "video", "perception"}
FLOORS: dict[str, set[str]] = {
    "errors": set(),
    "support": {"errors"},
    "bundle": {"errors", "support"},
    "video": {"errors", "support", "_core"},
    "engines": {"errors", "support", "bundle"},
    "perception": {"errors", "support", "_core", "bundle", "engines", "video"},
    "streaming": RUNTIME,
    "sinks": {"errors", "support", "video", "streaming"},
    "robots": RUNTIME | {"streaming", "model"},
    "tasks": RUNTIME,
    "model": RUNTIME | {"streaming", "tasks"},
    "store": {"errors", "support", "bundle", "video", "perception", "streaming"},
    "serve": RUNTIME | {"streaming", "model", "store"},
    "moved": set(),
    "vljepa_edge": RUNTIME | {"streaming", "tasks", "model", "moved"},
    "kernels": {"errors", "support"},
    "kernels.tensorrt": {"errors", "support", "kernels", "engines"},
    "nn": {"errors", "support", "kernels"},
    "onnx_graphs": {"errors", "support"},
    "export": RUNTIME | {"model", "nn", "onnx_graphs", "kernels", "kernels.tensorrt"},
    "evaluation": RUNTIME | {"streaming", "model", "nn"},
    "training": RUNTIME | {"model", "tasks", "evaluation", "nn", "onnx_graphs", "kernels", "export"},
    "cli": RUNTIME
    | {"streaming", "sinks", "tasks", "model", "store", "serve", "vljepa_edge"}
    | {"evaluation", "export", "training", "kernels", "nn", "onnx_graphs"},
    "__main__": {"cli"},
}


def read_modules() -> dict[str, Path]:
    """Every module of the package by its dotted name; a package is named without `.__init__`."""
    found = {"vljepa_edge._core": ROOT / "vljepa_edge/_core.pyi"}
    for folder, package in TREES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


MODULES = read_modules()


def imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}: imports must be absolute"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in MODULES else node.module)
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            found |= {a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)}
    return {name for name in found if name.partition(".")[0] == "vljepa_edge"}


IMPORTS = {name: imports(path) - {name} for name, path in MODULES.items()}


def part_of(module: str) -> str:
    """The part of FLOORS that a module belongs to."""
    inner = module.removeprefix("vljepa_edge").removeprefix(".")
    if not inner:
        return "vljepa_edge"
    return "kernels.tensorrt" if inner.startswith("kernels.tensorrt") else inner.partition(".")[0]


def test_every_part_of_the_package_has_a_floor() -> None:
    assert {part_of(name) for name in MODULES} - {"_core"} == set(FLOORS)


@pytest.mark.parametrize("part", FLOORS)
def test_a_part_imports_only_the_parts_below_it(part: str) -> None:
    wrong = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        if part_of(module) == part
        for other in others
        if part_of(other) not in FLOORS[part] | {part}
    ]
    assert not wrong, f"{part} may import {', '.join(sorted(FLOORS[part])) or 'nothing'}: {wrong}"


def test_the_floors_themselves_have_no_circle() -> None:
    TopologicalSorter({part: below & FLOORS.keys() for part, below in FLOORS.items()}).prepare()


def test_no_module_imports_itself_through_others() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail("imports go in a circle: " + " <- ".join(error.args[1]))


def test_every_imported_module_exists() -> None:
    wrong = [f"{name} imports {other}" for name, others in IMPORTS.items() for other in others if other not in MODULES]
    assert not wrong


@pytest.mark.parametrize("old", MOVED)
def test_an_old_path_says_where_it_went(old: str) -> None:
    new = f"vljepa_edge.{MOVED[old]}"
    assert new in MODULES
    with pytest.raises(ModuleNotFoundError, match=f"has moved to {new}"):
        importlib.import_module(f"vljepa_edge.{old}")


def test_the_bundle_package_gives_what_the_module_gave() -> None:
    from vljepa_edge.bundle import Bundle, default_bundle, write_bundle

    modules = {Bundle.__module__, default_bundle.__module__, write_bundle.__module__}
    assert modules == {"vljepa_edge.bundle.store", "vljepa_edge.bundle.write"}
