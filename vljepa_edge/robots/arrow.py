"""Images as Arrow arrays with metadata, and texts, as dora's nodes send them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import av

from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.support.arguments import shown
from vljepa_edge.video.ros.images import CompressedImageMessage, ImageMessage, compressed_frame, image_frame, layout

if TYPE_CHECKING:
    import pyarrow as pa

_COMPRESSED = ("jpeg", "png")


def arrow_frame(value: pa.Array, metadata: Mapping[str, Any]) -> av.VideoFrame | None:
    """The pixels of an array of uint8, None for a picture that is damaged.

    metadata: `encoding`, one of ROS's, or jpeg or png; of the others `width` and `height`, too. Rows are not padded.
    Raises FrameError for what is no image.
    """
    encoding = metadata.get("encoding")
    if str(getattr(value, "type", None)) != "uint8" or value.null_count:
        raise FrameError(
            f"an image must be an array of uint8 without nulls, got {shown(getattr(value, 'type', value))}"
        )
    data = value.to_numpy(zero_copy_only=True)
    if encoding in _COMPRESSED:
        return compressed_frame(cast(CompressedImageMessage, SimpleNamespace(format=encoding, data=data)))
    width, height = metadata.get("width"), metadata.get("height")
    if not isinstance(encoding, str) or not isinstance(width, int) or not isinstance(height, int):
        raise FrameError(
            f"metadata must have the text encoding and the integers width and height, got {shown(dict(metadata))}"
        )
    _, row, rows = layout(encoding, width, height)
    if data.size != row * rows:
        raise FrameError(f"{width} x {height} in {encoding} must have {row * rows} bytes of data, got {data.size}")
    message = SimpleNamespace(encoding=encoding, width=width, height=height, step=row, data=data)
    return image_frame(cast(ImageMessage, message))


def arrow_text(value: pa.Array) -> str:
    """The one text of an array. Raises InputError for an array that holds anything else."""
    held = value[0].as_py() if len(value) == 1 else None
    if not isinstance(held, str):
        raise InputError(f"a text must be an array of one text, got {len(value)} of {value.type}")
    return held


def arrow_time(metadata: Mapping[str, Any]) -> float:
    """When dora sent a message, in seconds since 1970. Raises InputError where its metadata does not say so."""
    stamp = metadata.get("timestamp")
    if not isinstance(stamp, datetime):
        raise InputError(f"metadata must have a timestamp, got {shown(dict(metadata))}")
    return stamp.timestamp()
