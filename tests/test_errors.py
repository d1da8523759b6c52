"""Every error of the package crosses processes: pickled or copied it is equal, with its attributes and notes."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import vljepa_edge
from vljepa_edge.errors import VLJepaError

CALLS: dict[str, Callable[[VLJepaError], VLJepaError]] = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def subclasses(kind: type[VLJepaError]) -> Iterator[type[VLJepaError]]:
    """`kind` and all its children, of every module of the package that can be imported here."""
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith("vljepa_edge"):
            yield from subclasses(child)


def all_errors() -> list[type[VLJepaError]]:
    """Those of every module that defines a class of errors; the others needn't be imported."""
    folder = Path(vljepa_edge.__file__).parent
    for file in folder.rglob("*.py"):
        if re.search(r"^class \w+\(.*Error\b.*\):", file.read_text(), re.MULTILINE):
            importlib.import_module(".".join(("vljepa_edge", *file.relative_to(folder).with_suffix("").parts)))
    return sorted(set(subclasses(VLJepaError)), key=lambda kind: kind.__name__)


def example(kind: type[VLJepaError]) -> VLJepaError:
    """One, with a text for each argument of its constructor."""
    if not inspect.isfunction(kind.__init__):
        return kind("what was wrong")
    return kind(*(f"the {name}" for name in inspect.signature(kind).parameters))


@pytest.mark.parametrize("way", CALLS)
@pytest.mark.parametrize("kind", all_errors())
def test_an_error_crosses_processes(kind: type[VLJepaError], way: str) -> None:
    error = example(kind)
    error.__notes__ = ["a note"]  # what add_note() of Python 3.11 sets
    found = CALLS[way](error)
    assert type(found) is kind
    assert found is not error
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))


def test_the_list_of_errors_is_not_empty() -> None:
    assert {"VLJepaError", "VideoError", "BundleError", "ProcessError", "AssetError"} <= {
        kind.__name__ for kind in all_errors()
    }
