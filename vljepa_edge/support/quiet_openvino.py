"""OpenVINO, imported without its telemetry, and its one Core. Everything in this package takes both from here.

`import openvino` imports OpenVINO's conversion tools. Those import the package openvino_telemetry, which writes an
id to the home folder and sends an event at each start. Where that package is missing, OpenVINO uses a stub that does
nothing. So the package is hidden while OpenVINO is imported, and only then: a program that imports it later still gets
it. Where a program has imported openvino before, this changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

__all__ = ["openvino", "shared_core"]

_TELEMETRY = "openvino_telemetry"


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


with _hidden(_TELEMETRY):
    import openvino


@lru_cache(maxsize=1)
def shared_core() -> Any:
    """The openvino.Core of this process. It is never destroyed.

    A Core gives the thread that makes it another stack for signals, and its destructor frees that stack. Of two Cores
    that are destroyed in the order in which they were made, the second puts back the freed stack of the first: the next
    signal that the program handles, Ctrl-C say, then ends it with a segmentation fault.
    """
    return openvino.Core()
