"""A complete hop: a new 640x480 frame in, a decision out, one thread.

Peers, all on the same graphs and engine: encoding the complete window at every hop, as a clip model without a cache
does; and a token-writing model of the same size asked for a caption at every hop (see token_model). Limit: the
operations that a hop cannot do without, at the peak of matrix products.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, cycle
from typing import Any

import numpy as np

from benchmarks.bench import THREADS, Bench, installed
from benchmarks.clip import SECONDS
from benchmarks.comparison import Comparison, Stage
from benchmarks.flops import Cost
from benchmarks.interleave import Case, Samples, interleave
from vljepa_edge.engines import open_engine
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.streaming.policy import RunningWard, parse_policy

TOKENS = 12  # of a caption
HOPS = 400  # pushed alone: fewer have no 99th percentile
NEVER = "uniform:period=86400"  # a hop ends with the decision; text is the Y-decoder's stage


def stages(bench: Bench) -> list[Stage]:
    manifest = bench.bundle.manifest
    cases = [
        Case("open_stream().push", _streaming(bench)),
        Case("the complete window encoded at each hop", _whole_window(bench)),
    ]
    notes = ["Frames are those of the clip; the policy is asked at every hop and no text is decoded."]
    missing = installed("torch", "onnx")
    if missing is None and "recipe" in manifest.provenance:
        cases.append(Case(f"a token model, {TOKENS} tokens a hop", _tokens(bench)))
    else:
        notes.append(f"The token model: {missing or 'left out, the bundle does not tell its sizes'}.")
    cost = Cost()
    for role in (*manifest.x_encoders, "predictor"):
        cost += bench.cost(role)
    title = "a complete hop"

    def tell(samples: tuple[Samples, ...]) -> Comparison:
        (alone,) = interleave([Case("alone", _streaming(bench))], bench.seconds, bench.clock, least=HOPS, most=HOPS)
        p50, p99 = np.percentile(alone.ms, (50, 99)).tolist()
        pushed = f"Pushed alone, {len(alone.ms)} hops: p50 {p50:.1f} ms, p99 {p99:.1f} ms."
        return Comparison(title, samples, bench.limit(cost), (*notes, pushed), {"hop p50": p50, "hop p99": p99})

    return [Stage(title, cases, tell, 1.5)]


def _images(bench: Bench) -> Iterator[tuple[Any, float]]:
    """The clip's frames again and again, in rising time."""
    return zip(cycle(bench.frames), (i / bench.bundle.manifest.video.fps for i in count()), strict=False)


def _streaming(bench: Bench) -> Callable[[], object]:
    stream, images = bench.model.open_stream(policy=NEVER), _images(bench)
    return lambda: stream.push(*next(images))


def _whole_window(bench: Bench) -> Callable[[], object]:
    vision, images = bench.model.vision, _images(bench)
    video = bench.bundle.manifest.video
    query = bench.model.text.query(bench.bundle.manifest.text.default_query)
    state = parse_policy(NEVER).start(bench.bundle.manifest.embedding.width)
    kept: deque[Any] = deque(maxlen=video.window)

    def hop() -> object:
        image, time = next(images)
        kept.append(vision.prepare(image))
        while len(kept) < video.window:
            kept.append(kept[-1])
        encoder = WindowEncoder(vision)
        for i, frame in enumerate(kept):
            encoder.push(frame, i / video.fps)
        return state.push(encoder.embed(query), time)

    return hop


def _tokens(bench: Bench) -> Callable[[], object]:
    from benchmarks import torch_peers
    from benchmarks.token_model import TokenModel

    vision, images = bench.model.vision, _images(bench)
    inputs = bench.inputs["predictor"]
    config = torch_peers.decoder_config(bench.bundle.manifest, steps=TOKENS)
    model = TokenModel(open_engine(threads=THREADS), config, inputs)
    encoder = WindowEncoder(vision)

    def hop() -> object:
        image, time = next(images)
        encoder.push(vision.prepare(image), time)
        return model.write({**encoder.features(), "query_tokens": inputs["query_tokens"]}, TOKENS)

    return hop


def stream_the_clip(bench: Bench, hops: int = HOPS) -> dict[str, Any]:
    """The clip as a user streams it, file to events, again and again: latencies of every stage, and times real time."""
    path, _ = bench.clip
    seconds = 0.0
    with bench.model.open_stream(policy=RunningWard()) as stream:
        begun = last = time.perf_counter()
        while seconds == 0 or (stream.stats().hops < hops and last - begun < 2 * bench.seconds):
            with bench.model.open(path) as source:
                for image, at in source:
                    stream.push(image, seconds + at)
                    stream.poll()
            seconds += SECONDS
            last = time.perf_counter()
        stats = stream.stats()
    return {
        "latency_ms": stats.latency_ms,
        "hops": stats.hops,
        "decodes": stats.decodes,
        "realtime": seconds / (last - begun),
        "seconds": seconds,
    }
