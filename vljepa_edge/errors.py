"""Every error that vljepa_edge raises on purpose. Each says what was wrong, where, and what is allowed."""

from __future__ import annotations

import re
from typing import Any

_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:/+")  # valid or not: one slash is enough, and C:/ is none
_PARAMETER = re.compile(r"(?<![^=&?/;])([^=&?/;]+)=([^&]*)")
_HARMLESS = re.compile(
    r"(?i)audio|cam|camera|ch|channel|chn|codec|fps|profile|proto|quality|resolution|stream|streamtype|stream_type|"
    r"subtype|tcp|transport|transportmode|udp|unicast|video"
)
# The key is looked at once, from its beginning: a long text takes no longer than its length asks for.
_SECRET = re.compile(r"(?i)(?<![\w.-])(?=[\w.-]*(?:pass|pwd|psw|secret|token|auth|api_?key|credential))([\w.-]+)=[^&]*")


def redacted(source: str) -> str:
    """A URL or path fit for messages, without user names, passwords, tokens and keys. It need not be a valid URL.

    Of a URL, what stands before the last @ is left out, and values of parameters that may be secret become ***. Where
    it is not clear which part is which, more of it becomes ***.
    """
    url = _URL.match(source)
    if url is None:
        return _SECRET.sub(r"\1=***", re.sub(r"^[^/\s:]{2,}:.*@", "", source, flags=re.DOTALL))
    scheme, rest = url[0], source[url.end() :]
    before, at, after = rest.rpartition("@")
    if not at:  # and what stands where a port would is a password
        rest = re.sub(r"^([^/?#:\[]*):(?!\d{0,5}(?:[/?#]|$)).*", r"\1:***", rest, flags=re.DOTALL)
    elif "=" in before:
        rest = "***"
    else:
        rest = f"***@{after}" if re.search("[/?#]", before) and ":" not in before else after
    return scheme + _PARAMETER.sub(_parameter, rest)


def _parameter(match: re.Match[str]) -> str:
    key, value = match.groups()
    harmless = _HARMLESS.fullmatch(key) and re.fullmatch(r"[\w.-]{0,20}(?:\?\w{0,20})?", value)
    return match[0] if harmless else f"{key}=***"


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
    """A video source can't be opened or read. `source` names it, as `redacted` does: passwords are left out."""

    def __init__(self, source: object, reason: str) -> None:
        self.source = redacted(str(source))
        super().__init__(f"{self.source}: {reason}")


class VideoWarning(UserWarning):
    """A video was read, but not all of it: its file is cut off, say."""


class BundleError(VLJepaError):
    """A model bundle is broken, altered, or not one of this package. `file` names the offending file."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class DataError(VLJepaError):
    """A data set can't be used, or too many samples of it are corrupt. `file` names the table, archive or source,
    `place` the line or row in it, "" where it is about all of it."""

    def __init__(self, file: object, reason: str, place: str = "") -> None:
        super().__init__(f"{file}, {place}: {reason}" if place else f"{file}: {reason}")
        self.file = str(file)
        self.place = place


class LayoutError(DataError):
    """A folder or table is not laid out as a benchmark's is. `tree` shows, in several lines, how it must be."""

    def __init__(self, file: object, reason: str, tree: str) -> None:
        super().__init__(file, f"{reason}; it must be laid out as\n{tree}")
        self.tree = tree


class ProcessError(VLJepaError):
    """A model or stream is used in a forked child of the process that made it, or while the interpreter shuts down."""


class EngineError(VLJepaError):
    """An inference engine is missing, can't run a graph, or failed while running one."""


class IndexFileError(VLJepaError):
    """A saved retrieval index is broken or was made by another model. `file` names it."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class StoreError(VLJepaError):
    """An event store is broken, of something else, of a newer version, or in use. `file` names it."""

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class HeadError(VLJepaError):
    """A saved head is broken, or a head was taught with another X-encoder. `file` names it, "head" where there is none.
    """

    def __init__(self, file: object, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = str(file)


class BrokerError(VLJepaError):
    """A message broker can't be reached, or lets nobody in. `broker` is its address without user and password."""

    def __init__(self, broker: object, reason: str) -> None:
        super().__init__(f"{broker}: {reason}")
        self.broker = str(broker)


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
