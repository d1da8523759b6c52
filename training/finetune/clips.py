"""What the frozen X-encoder sees of every clip of a table, computed once, on the engine that the runtime uses."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import FrameError, InputError, VideoError, VideoWarning
from vljepa_edge.perception.perception import Perception
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.training.data.sample import Sample, Source
from vljepa_edge.video.stretch import FramePlan

WINDOWS = 3
"""Windows of each clip: its beginning, its middle and its end. They overlap where the clip is short."""
MOST_UNREADABLE = 0.1
"""The share of the clips beyond which the table is refused rather than read on."""

OnStep = Callable[[str, int, int], object]
"""Called with what is done, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class Clips:
    """N samples of M stretches of video; several texts may be of one.

    media: the digest of the recording that each sample is of. stretch: which stretch each sample is of, int64 (N,).
    streams: what the predictor takes of vision, by name, float16 (M, WINDOWS, 1, ...). skipped: what could not be read,
    and why.
    """

    samples: tuple[Sample, ...]
    media: tuple[str, ...]
    stretch: NDArray[np.int64]
    streams: dict[str, NDArray[np.float16]]
    skipped: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.samples)

    def digest(self) -> str:
        """SHA-256 of what was learned from: recordings, stretches, questions and texts, in their order."""
        found = hashlib.sha256()
        for sample, media in zip(self.samples, self.media, strict=True):
            found.update(repr((media, sample.start, sample.end, sample.query, sample.target)).encode())
        return found.hexdigest()


def encode(perception: Perception, source: Source, media: Sequence[str], on_step: OnStep) -> Clips:
    """Encode every sample of a source. One that can't be read is left out, with a VideoWarning.

    media: the digest of each sample's recording. Raises the first
    VideoError or FrameError when more than MOST_UNREADABLE of the samples can't be read.
    """
    video = perception.manifest.video
    plan = FramePlan(video.window, video.width, video.height, video.resize, video.fps)
    kept: list[Sample] = []
    seen: dict[tuple[str, float | None, float | None], int] = {}
    digests: list[str] = []
    stretch: list[int] = []
    streams: list[dict[str, NDArray[np.float16]]] = []
    skipped: list[str] = []
    for i in range(len(source)):
        on_step("encoding", i, len(source))
        sample = source[i]
        where = (sample.media, sample.start, sample.end)
        if where not in seen:
            try:
                streams.append(_encode(perception, source, sample, plan))
            except (VideoError, FrameError) as error:
                skipped.append(f"{sample.key}: {error}")
                if len(skipped) > MOST_UNREADABLE * len(source):
                    raise
                warnings.warn(f"left out: {sample.key}: {error}", VideoWarning, stacklevel=2)
                continue
            seen[where] = len(seen)
        kept.append(sample)
        digests.append(media[i])
        stretch.append(seen[where])
    on_step("encoding", len(source), len(source))
    if not kept:
        raise InputError(f"{source.name}: has no clip that can be read")
    return Clips(
        tuple(kept),
        tuple(digests),
        np.array(stretch),
        {name: np.stack([one[name] for one in streams]) for name in streams[0]},
        tuple(skipped),
    )


def stream_names(perception: Perception) -> tuple[str, ...]:
    """The predictor's inputs that come from vision."""
    inputs = perception.manifest.graphs["predictor"].inputs
    return tuple(tensor.name for tensor in inputs if tensor.name not in ("query_tokens", "query_mask"))


def _encode(perception: Perception, source: Source, sample: Sample, plan: FramePlan) -> dict[str, NDArray[np.float16]]:
    """Every stream of one clip, (WINDOWS, 1, ...)."""
    windows: list[dict[str, NDArray[np.float16]]] = []
    before: NDArray[np.uint8] | None = None
    for i in range(WINDOWS):
        frames = source.frames(sample, plan, i / (WINDOWS - 1))
        alike = before is not None and np.array_equal(frames, before)  # a photo, or a clip no longer than a window
        windows.append(windows[-1] if alike else _window(perception, frames))
        before = frames
    return {name: np.stack([window[name] for window in windows]) for name in windows[0]}


def _window(perception: Perception, frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float16]]:
    encoder = WindowEncoder(perception.vision)
    for number, frame in enumerate(frames):
        encoder.push(frame, float(number))
    features = encoder.features()
    return {name: features[name].astype(np.float16) for name in stream_names(perception)}
