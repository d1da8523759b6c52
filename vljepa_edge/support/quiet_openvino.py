"""OpenVINO, imported without its conversion tools, and its one Core. Everything in this package takes both from here.

`import openvino` imports OpenVINO's conversion tools, which take a third of that time and which nothing here uses.
Those import the package openvino_telemetry, which writes an id to the home folder and sends an event at each start.
Where the tools are missing, OpenVINO does without. So they are hidden while OpenVINO is imported, and only then: a
program that asks for `openvino.convert_model` later still gets it, with the stub that OpenVINO uses where there is no
telemetry. Where a program has imported openvino before, this changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

__all__ = ["openvino", "shared_core"]

_TOOLS, _TELEMETRY = "openvino.tools.ovc", "openvino_telemetry"


@contextmanager
def _hidden(name: str) -> Iterator[None]:
    """`import name` raises ImportError meanwhile."""
    absent = object()
    before = sys.modules.get(name, absent)
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if before is absent:
            del sys.modules[name]
        else:
            sys.modules[name] = before  # type: ignore[assignment]


def _late(name: str) -> Any:
    """An attribute of openvino that is not there."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    with _hidden(_TELEMETRY):
        return import_module(_TOOLS).convert_model


_is_first = "openvino" not in sys.modules
with _hidden(_TOOLS):
    import openvino
if _is_first:
    openvino.__getattr__ = _late


@lru_cache(maxsize=1)
def shared_core() -> Any:
    """The openvino.Core of this process. It is never destroyed.

    A Core gives the thread that makes it another stack for signals, and its destructor frees that stack. Of two Cores
    that are destroyed in the order in which they were made, the second puts back the freed stack of the first: the next
    signal that the program handles, Ctrl-C say, then ends it with a segmentation fault.
    """
    return openvino.Core()
