"""VL-JEPA on the edge: streaming video in, timestamped text out, decoded only when the scene changes."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vljepa_edge.moved import explain_moves

if TYPE_CHECKING:
    from vljepa_edge.bundle.manifest import Manifest
    from vljepa_edge.bundle.store import Bundle
    from vljepa_edge.errors import (
        BundleError,
        EngineError,
        FrameError,
        HeadError,
        IndexFileError,
        InputError,
        ProcessError,
        VideoError,
        VideoWarning,
        VLJepaError,
    )
    from vljepa_edge.model import Model, load
    from vljepa_edge.perception.coco import COCO_80
    from vljepa_edge.perception.head import Head
    from vljepa_edge.perception.labels import Labels
    from vljepa_edge.perception.perception import Perception, WindowEmbedding
    from vljepa_edge.streaming.async_reader import AsyncEventReader
    from vljepa_edge.streaming.event import Event
    from vljepa_edge.streaming.options import StreamOptions
    from vljepa_edge.streaming.policy import Budget, LocalVariance, Policy, RunningWard, Uniform, parse_policy
    from vljepa_edge.streaming.reader import EventReader
    from vljepa_edge.streaming.segmentation import Dendrogram, Segment, dendrogram, segment
    from vljepa_edge.streaming.stats import Stats
    from vljepa_edge.streaming.stream import Stream
    from vljepa_edge.tasks.answer import Answer
    from vljepa_edge.tasks.classify import Score, best_label
    from vljepa_edge.tasks.clips import Clip
    from vljepa_edge.tasks.retrieve import Hit, Index
    from vljepa_edge.video.frame import Frame, SourceStats
    from vljepa_edge.video.lerobot import Episode
    from vljepa_edge.video.recording import Recording
    from vljepa_edge.video.ros.bag import Bag
    from vljepa_edge.video.source import Source, SourceLike

    __version__: str

# Unless this is set before it is imported, ONNX Runtime writes a device id to the home folder and sends events.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "COCO_80",
    "Answer",
    "AsyncEventReader",
    "Bag",
    "Budget",
    "Bundle",
    "BundleError",
    "Clip",
    "Dendrogram",
    "EngineError",
    "Episode",
    "Event",
    "EventReader",
    "Frame",
    "FrameError",
    "Head",
    "HeadError",
    "Hit",
    "Index",
    "IndexFileError",
    "InputError",
    "Labels",
    "LocalVariance",
    "Manifest",
    "Model",
    "Perception",
    "Policy",
    "ProcessError",
    "Recording",
    "RunningWard",
    "Score",
    "Segment",
    "Source",
    "SourceLike",
    "SourceStats",
    "Stats",
    "Stream",
    "StreamOptions",
    "Uniform",
    "VLJepaError",
    "VideoError",
    "VideoWarning",
    "WindowEmbedding",
    "__version__",
    "best_label",
    "dendrogram",
    "load",
    "parse_policy",
    "segment",
]

_HOMES = {
    "Answer": "tasks.answer",
    "AsyncEventReader": "streaming.async_reader",
    "Bag": "video.ros.bag",
    "Bundle": "bundle.store",
    "COCO_80": "perception.coco",
    "Clip": "tasks.clips",
    "Episode": "video.lerobot",
    "Event": "streaming.event",
    "EventReader": "streaming.reader",
    "Frame": "video.frame",
    "Head": "perception.head",
    "Hit": "tasks.retrieve",
    "Index": "tasks.retrieve",
    "Labels": "perception.labels",
    "Budget": "streaming.policy",
    "LocalVariance": "streaming.policy",
    "Manifest": "bundle.manifest",
    "Model": "model",
    "Perception": "perception.perception",
    "Policy": "streaming.policy",
    "Recording": "video.recording",
    "RunningWard": "streaming.policy",
    "Score": "tasks.classify",
    "Dendrogram": "streaming.segmentation",
    "Segment": "streaming.segmentation",
    "Source": "video.source",
    "SourceLike": "video.source",
    "SourceStats": "video.frame",
    "Stats": "streaming.stats",
    "Stream": "streaming.stream",
    "StreamOptions": "streaming.options",
    "Uniform": "streaming.policy",
    "WindowEmbedding": "perception.perception",
    "best_label": "tasks.classify",
    "load": "model",
    "parse_policy": "streaming.policy",
    "dendrogram": "streaming.segmentation",
    "segment": "streaming.segmentation",
}


explain_moves()


def _require_main_interpreter() -> None:
    """Raise ImportError in a sub-interpreter, where the C++ core and OpenVINO would wait for each other for ever."""
    try:
        interpreters = import_module("_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters")
    except ImportError:  # a Python without sub-interpreters
        return
    if interpreters.get_current() != interpreters.get_main():
        raise ImportError(
            "vljepa_edge can't be imported in a sub-interpreter: the libraries it needs allow one interpreter "
            "a process; use processes instead (with mod_wsgi: WSGIApplicationGroup %{GLOBAL})"
        )


_require_main_interpreter()


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import vljepa_edge` stays light."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("vljepa-edge")
    elif name in __all__:
        value = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
