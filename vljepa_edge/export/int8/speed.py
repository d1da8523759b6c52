"""INT8 against 16 bits on the machine at hand: each round runs both, either first in turn, and ratios are within it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vljepa_edge.bundle.store import Bundle
from vljepa_edge.engines import open_engine
from vljepa_edge.export.int8.calibration import Clip
from vljepa_edge.model import Model
from vljepa_edge.perception.window_encoder import WindowEncoder

_LEAST_ROUNDS, _MOST_ROUNDS = 5, 200


@dataclass(frozen=True)
class Speed:
    """Medians, milliseconds. `times`: how many times as fast INT8 is, the median over rounds."""

    ms_16: float
    ms_8: float
    times: float


def compare(first: Callable[[], object], second: Callable[[], object], seconds: float) -> Speed:
    """`first` at 16 bits, `second` at 8, for about so many seconds; a call of each beforehand is not counted."""
    calls = (first, second)
    taken: tuple[list[float], list[float]] = ([], [])
    for call in calls:
        call()
    begun, rounds = time.perf_counter(), 0
    while rounds < _LEAST_ROUNDS or (rounds < _MOST_ROUNDS and time.perf_counter() - begun < seconds):
        for which in (0, 1) if rounds % 2 else (1, 0):
            start = time.perf_counter()
            calls[which]()
            taken[which].append(1e3 * (time.perf_counter() - start))
        rounds += 1
    before, after = np.array(taken[0]), np.array(taken[1])
    return Speed(float(np.median(before)), float(np.median(after)), float(np.median(before / after)))


def compare_bundles(
    float_bundle: Bundle, int8_bundle: Bundle, clip: Clip, text: str, seconds: float
) -> dict[str, Speed]:
    """A hop (a frame in, an embedding out), and its stages, a text embedded and one decoded; on OpenVINO.

    16 bits: bf16 or fp16 where this CPU has it, else fp32. seconds: for each of them.
    """
    engine = open_engine("openvino")
    runs = [_stages(Model(bundle, engine), clip, text) for bundle in (float_bundle, int8_bundle)]
    return {stage: compare(runs[0][stage], runs[1][stage], seconds) for stage in runs[0]}


def _stages(model: Model, clip: Clip, text: str) -> dict[str, Callable[[], object]]:
    vision, video = model.vision, model.manifest.video
    query = model.text.query(model.manifest.text.default_query)
    encoder = WindowEncoder(vision)
    for i, frame in enumerate(clip):
        encoder.push(frame, i / video.fps)
    encoded, last = vision.encode_frame(clip[-1]), float(encoder.times[-1])
    embedding = encoder.embed(query)

    def hop() -> object:
        encoder.push(clip[-1], last)
        return encoder.embed(query)

    def encode_clip() -> object:
        encoder.push_encoded(encoded, last)
        return encoder.features()

    return {
        "hop": hop,
        "frame": lambda: vision.encode_frame(clip[-1]),
        "clip": encode_clip,
        "predictor": lambda: encoder.embed(query),
        "text embedded": lambda: model.embed_text([text]),
        "text decoded": lambda: model.decode_text(embedding),
    }
