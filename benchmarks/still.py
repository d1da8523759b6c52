"""What a camera costs that looks at a still scene: processor time of a stream with `still=LEVELS` beside one without.

    .venv-dev/bin/python -m benchmarks.still
    .venv-dev/bin/python -m benchmarks.still clip.avi --start 10 --seconds 30

Without a file: a frozen picture with a sensor's noise, which is no still scene pixel by pixel. Both streams see each
frame in turn, and each is timed by the processor time that it takes. Prints frames, hops and cuts of both.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

import vljepa_edge

FPS = 8.0


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", nargs="?")
    parser.add_argument("--start", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--levels", type=float, default=3.0)
    parser.add_argument("--noise", type=float, default=5.0, help="levels of the sensor's noise")
    given = parser.parse_args()
    frames = read(given.video, given.start, given.seconds) if given.video else noisy(given.seconds, given.noise)
    model = vljepa_edge.load(threads=1)
    streams = {levels: model.open_stream(still=levels, decode="none") for levels in (0.0, given.levels)}
    spent = dict.fromkeys(streams, 0.0)
    cuts: dict[float, list[float]] = {levels: [] for levels in streams}
    for image, at in frames:
        for levels, stream in streams.items():
            begun = time.process_time()
            events = stream.push(image, at)
            spent[levels] += time.process_time() - begun
            cuts[levels] += [event.start for event in events if event.status == "open"]
    for levels, stream in streams.items():
        stats = stream.stats()
        print(
            f"still={levels:g}: {stats.encoded} frames ({stats.still} still), "
            f"{stats.hops} hops ({stats.hops_idle} idle), "
            f"{spent[levels]:.2f} s of processor time; cuts at {', '.join(f'{cut:.2f}' for cut in cuts[levels])}"
        )
    print(f"saved: {100 * (1 - spent[given.levels] / spent[0.0]):.0f} % of the processor time of streaming")


if __name__ == "__main__":
    main()
