"""World prediction (paper, section 4.3): which action leads from one state of the world to another."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from vljepa_edge.errors import InputError, redacted
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.support.arguments import as_list
from vljepa_edge.tasks.classify import Score, rank

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.vision import Features
    from vljepa_edge.video.source import SourceLike


def transition(
    model: Perception, before: SourceLike, after: SourceLike, candidates: Iterable[SourceLike]
) -> list[Score]:
    """Score candidate clips by how near each is to the change from `before` to `after`, best first; scores sum to 1.

    The initial and the final image are duplicated and concatenated into one window, the first half showing `before`;
    its embedding is compared with each candidate's. Of a video only the first frame counts. `label` is a candidate's
    path, or "candidate N", counted from 0. The query is the manifest's prompt "transition", else its default.

    Raises InputError without candidates, VideoError for a source that can't be read or has no frames.
    """
    if isinstance(candidates, np.ndarray) and candidates.ndim < 4:
        raise InputError("candidates must be a list of sources, not one picture; write [picture]")
    clips = as_list(candidates, "candidates", "sources")
    if not clips:
        raise InputError("candidates must be a list of one or more sources, got none")
    manifest = model.manifest
    query = manifest.text.default_query if manifest.prompts.transition is None else manifest.prompts.transition
    first, last = _first_frame(model, before), _first_frame(model, after)
    size = manifest.video.window
    encoder = WindowEncoder(model.vision)
    for index in range(size):
        encoder.push_encoded(first if index < size // 2 else last, index / manifest.video.fps)
    state = encoder.embed(model.text.query(query))
    rows = np.stack([model.embed_video(clip) for clip in clips])
    return rank([_name(clip, i) for i, clip in enumerate(clips)], rows @ state, manifest.prompts.scale)


def _first_frame(model: Perception, source: SourceLike) -> Features:
    with model.open(source) as frames:
        return model.vision.encode_frame(model.vision.prepare(next(frames).image))


def _name(source: SourceLike, index: int) -> str:
    return redacted(os.fspath(source)) if isinstance(source, str | os.PathLike) else f"candidate {index}"
