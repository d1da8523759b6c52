"""What TensorRT says, for error messages: a call of its API that fails only returns nothing."""

from __future__ import annotations

import logging
from typing import TypeVar

import tensorrt as trt

from vljepa_edge.errors import EngineError

_T = TypeVar("_T")
_log = logging.getLogger(__name__)
_KEPT = 3


class Log(trt.ILogger):
    """Passes everything to Python's logging and keeps the last errors. Must outlive the objects that log to it."""

    def __init__(self) -> None:
        super().__init__()
        self._errors: list[str] = []

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        if severity in (trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR):
            self._errors = [*self._errors, msg][-_KEPT:]
        _log.debug("TensorRT: %s", msg)

    def given(self, answer: _T | None) -> _T:
        """What a call returned. Raises EngineError when that is nothing."""
        if answer is None:
            raise EngineError(self.said())
        return answer

    def done(self, answer: bool) -> None:
        """Raise EngineError when a call returned False."""
        if not answer:
            raise EngineError(self.said())

    def said(self) -> str:
        """The last errors on one line."""
        return " ".join(" ".join(self._errors).split())[:900] or "it gave no reason"
