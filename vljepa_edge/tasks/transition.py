"""World prediction (paper, section 4.3): which action leads from one state of the world to another."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vljepa_edge.errors import InputError
from vljepa_edge.perception.window_encoder import WindowEncoder
from vljepa_edge.tasks.classify import Score, rank, scale

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.perception.vision import Features


def transition(model: Perception, before: Any, after: Any, candidates: Sequence[Any]) -> list[Score]:
    """Score candidate clips by how near each is to the change from `before` to `after`, best first; scores sum to 1.

    The initial and the final image are duplicated and concatenated into one window, the first half showing `before`;
    its embedding is compared with each candidate's. Of a video only the first frame counts. `label` is a candidate's
    path, or "candidate N", counted from 0. The query is the manifest's prompt "transition", else its default.

    Raises InputError without candidates, VideoError for a source that can't be read or has no frames.
    """
    if isinstance(candidates, str) or not len(candidates):
        raise InputError("transition needs a list of one or more candidate clips")
    manifest = model.manifest
    query = manifest.prompts.get("transition", manifest.text.default_query)
    first, last = _first_frame(model, before), _first_frame(model, after)
    size = manifest.video.window
    encoder = WindowEncoder(model.vision)
    for index in range(size):
        encoder.push_encoded(first if index < size // 2 else last, index / manifest.video.fps)
    state = encoder.embed(model.text.query(query))
    clips = np.stack([model.embed_video(candidate) for candidate in candidates])
    return rank([_name(item, i) for i, item in enumerate(candidates)], clips @ state, scale(manifest))


def _first_frame(model: Perception, source: Any) -> Features:
    with model.open(source) as frames:
        return model.vision.encode_frame(model.vision.prepare(next(frames).image))


def _name(source: Any, index: int) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else f"candidate {index}"
