"""Every error that vljepa_edge raises on purpose. Each says what was wrong, where, and what is allowed."""

from __future__ import annotations

from typing import Any


class VLJepaError(Exception):
    """Base of all errors of this package. They can be pickled and copied, with their attributes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[VLJepaError], args: tuple[Any, ...], attributes: dict[str, Any]) -> VLJepaError:
    """An error out of its parts: constructors take other arguments than those that end up in `args`."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


class InputError(VLJepaError, ValueError):
    """An argument is not one of the allowed values: a policy, a label list, a query, a device name."""


class FrameError(InputError):
    """An array is not a frame: wrong type, shape, range, or not finite."""


class VideoError(VLJepaError):
    """A video source can't be opened or read. `source` names it."""

    def __init__(self, source: object, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.source = str(source)


class VideoWarning(UserWarning):
    """A video was read, but not all of it: its file is cut off, say."""


class BundleError(VLJepaError):
    """A model bundle is broken, altered, or not one of this package. `file` names the offending file."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class ProcessError(VLJepaError):
    """A model or stream is used in a forked child of the process that made it, or while the interpreter shuts down."""


class EngineError(VLJepaError):
    """An inference engine is missing, can't run a graph, or failed while running one."""


class IndexFileError(VLJepaError):
    """A saved retrieval index is broken or was made by another model. `file` names it."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class QuantizationError(VLJepaError):
    """An INT8 graph is not quantised as engines take it. `graph` and `node` say where."""

    def __init__(self, graph: str, node: str, reason: str) -> None:
        super().__init__(f"{graph}: {node} {reason}")
        self.graph = graph
        self.node = node


class GraphError(VLJepaError):
    """An ONNX graph holds something that can't be converted. `graph` names it."""

    def __init__(self, graph: str, reason: str) -> None:
        super().__init__(f"{graph}: {reason}")
        self.graph = graph


class ExportError(VLJepaError):
    """A model can't be exported, or what came out isn't good enough. `report`: what was measured, if anything was."""

    def __init__(self, reason: str, report: Any = None) -> None:
        super().__init__(reason)
        self.report = report


class KernelError(VLJepaError):
    """A GPU kernel can't be compiled, launched or tuned here: no GPU, no Triton, or an architecture without tiles."""
