"""A hop of the C++ library beside one of Python: `python -m benchmarks.cpp_hop build/cpp/libvljepa.so`.

`make cpp-test` builds the library. Both are given the same 640 x 480 frames, of a camera that turns, by one process, on
one thread: scaled, encoded, predicted, and the policy asked. No text is decoded. Rounds are interleaved.
"""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vljepa_edge
from benchmarks.interleave import Case, interleave
from vljepa_edge.bundle.store import default_bundle

SECONDS = 20.0
FRAMES = 32  # of one turn
DECODE_NONE = 3
POLICY = "running-ward"

Frame = NDArray[np.uint8]


class _ModelParams(ctypes.Structure):
    _fields_ = (
        ("engine", ctypes.c_char_p), ("threads", ctypes.c_int32), ("precision", ctypes.c_int32),
        ("reserved", ctypes.c_uint64 * 6),
    )  # fmt: skip


class _StreamParams(ctypes.Structure):
    _fields_ = (
        ("policy", ctypes.c_char_p), ("queries", ctypes.c_void_p), ("query_count", ctypes.c_size_t),
        ("query_files", ctypes.c_void_p), ("query_file_count", ctypes.c_size_t), ("hop", ctypes.c_double),
        ("gap", ctypes.c_double), ("min_confidence", ctypes.c_double), ("decode", ctypes.c_int32),
        ("reserved0", ctypes.c_int32), ("reserved", ctypes.c_uint64 * 6),
    )  # fmt: skip


class _Frame(ctypes.Structure):
    _fields_ = (
        ("format", ctypes.c_int32), ("width", ctypes.c_int32), ("height", ctypes.c_int32), ("matrix", ctypes.c_int32),
        ("full_range", ctypes.c_int32), ("reserved0", ctypes.c_int32), ("planes", ctypes.c_void_p * 3),
        ("strides", ctypes.c_size_t * 3), ("reserved", ctypes.c_uint64 * 4),
    )  # fmt: skip


def in_cpp(library: Path, bundle: Path, frames: list[Frame], times: Iterator[float]) -> Callable[[], None]:
    """Pushes the next frame into a stream of the library. Raises RuntimeError for what it refuses."""
    lib = ctypes.CDLL(str(library))
    lib.vljepa_last_error.restype = ctypes.c_char_p
    lib.vljepa_model_default_params.restype = _ModelParams
    lib.vljepa_stream_default_params.restype = _StreamParams
    lib.vljepa_frame_default.restype = _Frame
    lib.vljepa_stream_push.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Frame), ctypes.c_double)

    def check(status: int) -> None:
        if status:
            raise RuntimeError(lib.vljepa_last_error().decode())

    model, stream = ctypes.c_void_p(), ctypes.c_void_p()
    loading = lib.vljepa_model_default_params()
    loading.threads = 1
    check(lib.vljepa_model_load(str(bundle).encode(), ctypes.byref(loading), ctypes.byref(model)))
    asked = lib.vljepa_stream_default_params()
    asked.policy, asked.decode = POLICY.encode(), DECODE_NONE
    check(lib.vljepa_stream_open(model, ctypes.byref(asked), ctypes.byref(stream)))
    height, width = frames[0].shape[:2]
    given = [lib.vljepa_frame_default(0, width, height, ctypes.c_void_p(each.ctypes.data)) for each in frames]
    turns = count()

    def push() -> None:
        check(lib.vljepa_stream_push(stream, ctypes.byref(given[next(turns) % FRAMES]), next(times)))

    return push


def in_python(bundle: Path, frames: list[Frame], times: Iterator[float]) -> Callable[[], None]:
    """Pushes the next frame into a Stream."""
    stream = vljepa_edge.load(bundle, threads=1).open_stream(decode="none", policy=POLICY)
    turns = count()

    def push() -> None:
        stream.push(frames[next(turns) % FRAMES], next(times))
        stream.poll()

    return push


def main() -> None:
    """Print medians, spreads and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", type=Path, help="libvljepa.so")
    library: Path = parser.parse_args().library
    bundle = default_bundle()
    blocks = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    around = blocks.repeat(40, axis=0).repeat(40, axis=1)
    frames = [np.roll(around, turn * around.shape[1] // FRAMES, axis=1) for turn in range(FRAMES)]
    step = 1 / vljepa_edge.Bundle.open(bundle).manifest.video.fps
    cases = [
        Case("C++", in_cpp(library.resolve(), bundle, frames, (i * step for i in count()))),
        Case("Python", in_python(bundle, frames, (i * step for i in count()))),
    ]
    cpp, python = interleave(cases, SECONDS)
    for found in (cpp, python):
        low, high = found.spread
        print(f"{found.name:8} {found.median:6.2f} ms a hop ({low:.2f} to {high:.2f})")
    print(f"Python takes {python.times(cpp):.3f} times as long as C++, median of {len(cpp.ms)} rounds")


if __name__ == "__main__":
    main()
