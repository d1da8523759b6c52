"""What a camera costs that looks at a still scene: processor time of a stream with `still=LEVELS` beside one without.

    .venv-dev/bin/python -m benchmarks.still
    .venv-dev/bin/python -m benchmarks.still clip.avi --start 10 --seconds 30

Without a file: a frozen picture with a sensor's noise, which is no still scene pixel by pixel. Both streams see each
frame, in turns the one or the other first, and each is timed by the processor time that it takes, without what first
calls cost. Prints frames, hops and cuts of both, and the energy that the machine takes for each where it has a meter.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

import vljepa_edge
from vljepa_edge.streaming.stats import Stats
from vljepa_edge.support.power import EnergyMeter, find_rails, saved

FPS = 8.0


class Spent(NamedTuple):
    """What a stream took. seconds: of processor time. joules: of the machine meanwhile, by the rail that can be read.
    cuts: seconds of the stream."""

    seconds: float
    joules: dict[str, float]
    cuts: list[float]
    stats: Stats


def noisy(seconds: float, noise: float) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """A picture of soft shades (480, 640, 3) with noise of so many levels, at 8 frames a second."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:480, :640]
    shades = [np.sin(x / a + y / b) * 70 + 128 for a, b in ((40, 90), (70, 30), (25, 60))]
    picture = np.stack(shades, -1)
    for index in range(round(seconds * FPS)):
        grain = rng.normal(0, noise, picture.shape)
        yield np.clip(np.rint(picture + grain), 0, 255).astype(np.uint8), index / FPS


def read(path: str, start: float, seconds: float) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """A stretch of a video."""
    import av

    with av.open(path) as container:
        for frame in container.decode(video=0):
            at = float(frame.time or 0.0)
            if at >= start + seconds:
                return
            if at >= start:
                yield frame.to_ndarray(format="rgb24"), at


def compare(
    model: vljepa_edge.Model, frames: Iterable[tuple[NDArray[np.uint8], float]], levels: float
) -> tuple[Spent, Spent]:
    """What a stream takes without the gate, and with it."""
    streams = [model.open_stream(still=still, decode="none") for still in (0.0, levels)]
    meter = EnergyMeter(find_rails()[0])
    seconds, cuts = [0.0, 0.0], [list[float](), list[float]()]
    joules: list[dict[str, float]] = [{}, {}]
    for number, (image, at) in enumerate(frames):
        if not number:
            model.open_stream(decode="none").push(image, at)  # first calls take longer
        for place in (0, 1) if number % 2 else (1, 0):
            meter.joules()
            begun = time.process_time()
            events = streams[place].push(image, at)
            seconds[place] += time.process_time() - begun
            joules[place] = {name: joules[place].get(name, 0.0) + used for name, used in meter.joules().items()}
            cuts[place] += [event.start for event in events if event.status == "open"]
    without, gated = (Spent(*own, stream.stats()) for *own, stream in zip(seconds, joules, cuts, streams, strict=True))
    return without, gated


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--levels", type=float, default=3.0)
    parser.add_argument("--noise", type=float, default=5.0, help="levels of the sensor's noise")
    given = parser.parse_args()
    frames = read(given.video, given.start, given.seconds) if given.video else noisy(given.seconds, given.noise)
    without, gated = compare(vljepa_edge.load(threads=1), frames, given.levels)
    for levels, spent in ((0.0, without), (given.levels, gated)):
        stats = spent.stats
        print(
            f"still={levels:g}: {stats.encoded} frames ({stats.still} still), "
            f"{stats.hops} hops ({stats.hops_idle} idle), "
            f"{spent.seconds:.2f} s of processor time; cuts at {', '.join(f'{cut:.2f}' for cut in spent.cuts)}"
        )
    print(f"saved: {100 * (1 - gated.seconds / without.seconds):.0f} % of the processor time of streaming")
    energy = ", ".join(f"{rail} {100 * share:.0f} %" for rail, share in saved(gated.joules, without.joules).items())
    if energy or (energy := find_rails()[1]):
        print(f"saved of the energy that the machine takes meanwhile: {energy}")


if __name__ == "__main__":
    main()
