"""Many streams, and many queries, on one model, interleaved: `python -m benchmarks.many_streams [--rounds 7]`.

Streams push frames as fast as they can, each from a thread of its own. The peer is the same model as it was before
streams had a queue: each runs every graph by itself, once for each query. Hops a second is what all streams do
together. Processor time a hop is what a machine that is not quiet can still tell.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from statistics import median
from typing import Any

from vljepa_edge.bundle.store import Bundle, default_bundle
from vljepa_edge.cli.bench_streams import Load, push_together
from vljepa_edge.engines.openvino import open_engine
from vljepa_edge.model import Model
from vljepa_edge.perception.together import Together
from vljepa_edge.perception.vision import Asked, Questions

CASES = ((1, 1), (2, 1), (4, 1), (8, 1), (1, 4), (1, 16))  # streams, queries of each
THINGS = (
    *("dog", "cat", "person", "car", "cup", "ball", "bottle", "chair"),
    *("hand", "box", "bird", "tree", "phone", "book", "door", "bicycle"),
)


def run(model: Model, together: Together[Asked], streams: int, queries: int, seconds: float) -> Load:
    """Push for a while, with graphs that run so."""
    model.vision.together = together
    return push_together(model, streams, [f"Is there a {thing}?" for thing in THINGS[:queries]], seconds)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of a run")
    parser.add_argument("--threads", type=int, help="of the engine; its own choice when left out")
    given = parser.parse_args()
    engine = open_engine(given.threads, "auto")
    model = Model(Bundle.open(default_bundle()), engine)
    answer = model.vision.answer

    def one_by_one(asked: Sequence[Asked]) -> list[Any]:
        (one,) = asked
        if isinstance(one, Questions):
            return [[answer([Questions(one.features, [query])])[0][0] for query in one.queries]]
        return answer([one])

    ways = {"together": model.vision.together, "by itself": Together(one_by_one, None, 1)}
    for _ in range(3):  # the graphs for several rows are made when they are wanted
        for streams, queries in CASES:
            run(model, ways["together"], streams, queries, given.seconds)
        engine.settle()
    found: dict[tuple[int, int, str], list[Load]] = {}
    for _ in range(given.rounds):
        for streams, queries in CASES:
            for way, together in ways.items():
                took = run(model, together, streams, queries, given.seconds)
                found.setdefault((streams, queries, way), []).append(took)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print("streams queries way        hops/s  of one stream by itself     p50     p99 ms  processor ms a hop")
    ones = found[1, 1, "by itself"]
    for (streams, queries, way), runs in found.items():
        ratio = median(each.hops / one.hops for each, one in zip(runs, ones, strict=True))
        hops, p50, p99, used = (median(values) for values in zip(*runs, strict=True))
        print(f"{streams:7} {queries:7} {way:9} {hops:8.1f} {ratio:23.2f}x {p50:9.1f} {p99:9.1f} {used:17.1f}")


if __name__ == "__main__":
    main()
