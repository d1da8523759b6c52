"""Real inputs for every graph of a bundle: clips, queries and texts through the runtime's own preprocessing.

Half of the files calibrate, the other half check, so that no figure is of frames that ranges were fitted to.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import Engine, Graph, Precision, graph_name, open_engine
from vljepa_edge.errors import InputError
from vljepa_edge.export.progress import OnStep, told
from vljepa_edge.model import Model
from vljepa_edge.perception.text import Query
from vljepa_edge.perception.vision import Vision
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.support.media_files import media_files

Arrays = dict[str, NDArray[Any]]
Clip = NDArray[np.uint8]
CLIPS_PER_FILE = 4
_ASKED = 16
"""Queries of each clip: what few of them are met by, such as the thing that is asked for being there, sets ranges."""
QUERY_FILE, TEXT_FILE = "queries.txt", "texts.txt"
_QUERIES = (
    "What is this?", "What moves in the video?", "Which way does it move?", "How many are there?", "Is there a dog?",
)  # fmt: skip
_TEXTS = (
    "A dog.", "A photo of a red car.", "Yes.", "No.", "Three.", "A bird flies from left to right.",
    "Someone opens the door and walks out.", "The cup is still.", "A close view of green leaves in the wind.",
)  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """What a folder gives: clips uint8 [T, H, W, 3] as the model sees them, in two halves, and words."""

    fit: tuple[Clip, ...]
    held_out: tuple[Clip, ...]
    queries: tuple[str, ...]
    texts: tuple[str, ...]


def read_folder(folder: Path, model: Model, on_step: OnStep) -> Calibration:
    """Videos and photos under `folder`, every other one held out, each at most CLIPS_PER_FILE windows.

    `queries.txt` and `texts.txt` in it, a line each, come on top of a few general ones. Raises InputError when it holds
    fewer than two videos or photos, VideoError when one can't be read.
    """
    files = sorted(media_files(folder))
    if len(files) < 2:
        raise InputError(f"{folder}: holds one video or photo; give two or more, half of them check the result")
    halves: tuple[list[Clip], list[Clip]] = ([], [])
    for i, name in enumerate(told(files, "reading calibration files", on_step)):
        halves[i % 2].extend(_clips(model, folder / name))
    asked = model.manifest.text.default_query, model.manifest.prompts.classify_query or ""
    queries = dict.fromkeys([*filter(None, asked), *_lines(folder / QUERY_FILE), *_QUERIES])
    texts = dict.fromkeys([*_lines(folder / TEXT_FILE), *_TEXTS])
    return Calibration(tuple(halves[0]), tuple(halves[1]), tuple(queries), tuple(texts))


def _clips(model: Model, file: Path) -> Iterator[Clip]:
    """Windows of a file, one after the other; a file shorter than a window is filled up with its first frame."""
    size = model.manifest.video.window
    frames: list[NDArray[np.uint8]] = []
    found = 0
    with model.open(file) as source:
        for image, _ in source:
            frames.append(model.vision.prepare(image))
            if len(frames) == size:
                yield np.stack(frames)
                frames, found = [], found + 1
                if found == CLIPS_PER_FILE:
                    return
    if found == 0 and frames:
        yield np.stack([frames[0]] * (size - len(frames)) + frames)


def _lines(file: Path) -> list[str]:
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    return [line.strip() for line in text.splitlines() if line.strip()]


def embed_clip(vision: Vision, clip: Clip, queries: Sequence[Query]) -> NDArray[np.float32]:
    """One clip [T, H, W, 3] under each query, as a stream would: [queries, E]."""
    encoder = WindowEncoder(vision)
    for i, frame in enumerate(clip):
        encoder.push(frame, i / vision.video.fps)
    return np.stack([encoder.embed(query) for query in queries])


def turn(queries: Sequence[Query], place: int) -> list[Query]:
    """Those of the queries that the clip at this place is asked: a few, all of them in turn."""
    return [queries[i % len(queries)] for i in range(_ASKED * place, _ASKED * (place + 1))]


def record(
    bundle: Bundle, clips: Sequence[Clip], queries: Sequence[str], texts: Sequence[str], most: int, on_step: OnStep
) -> dict[str, list[Arrays]]:
    """Inputs that each graph file meets while the bundle, in fp32, embeds, asks and decodes: file -> at most `most`.

    Every clip is asked some of the queries, in turn; each embedding is decoded, and what is said is embedded again.
    """
    engine = _RecordingEngine(open_engine("openvino", precision="f32"), most)
    model = Model(bundle, engine)
    asked = [model.text.query(query, cut=True) for query in queries]
    model.embed_text(texts)
    for i, clip in enumerate(told(clips, "recording inputs", on_step)):
        for embedding in embed_clip(model.vision, clip, turn(asked, i)):
            said = model.decode_text(embedding)
            if said:
                model.embed_text([said])
    files = {graph.file for graph in bundle.manifest.graphs.values()}
    return {file: engine.graphs[graph_name(file)].kept for file in sorted(files)}


class _RecordingGraph:
    """See engines.base.Graph. Keeps a sample of what it is given, each call as likely as any other."""

    def __init__(self, graph: Graph, most: int) -> None:
        self._graph, self._most = graph, most
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self.kept: list[Arrays] = []
        self._calls = 0
        self._draw = random.Random(0)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        self._calls += 1
        place = len(self.kept) if len(self.kept) < self._most else self._draw.randrange(self._calls)
        if place < self._most:
            self.kept[place : place + 1] = [{name: np.array(array) for name, array in inputs.items()}]
        return self._graph(inputs)


class _RecordingEngine:
    """See engines.base.Engine."""

    def __init__(self, engine: Engine, most: int) -> None:
        self.name, self._engine, self._most = engine.name, engine, most
        self.precision: Precision = engine.precision
        self.graphs: dict[str, _RecordingGraph] = {}

    def compile(self, model: bytes, name: str) -> _RecordingGraph:
        graph = _RecordingGraph(self._engine.compile(model, name), self._most)
        self.graphs[name] = graph
        return graph
