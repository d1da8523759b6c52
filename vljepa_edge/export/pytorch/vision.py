"""The X-encoders' graphs, one for each part that runs on a frame or on a clip, and the streams that they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from vljepa_edge.errors import ExportError, InputError
from vljepa_edge.export.pytorch.graph import Graph, features, role, tensor
from vljepa_edge.nn.predictor import Predictor, StreamTokens
from vljepa_edge.nn.tiny_streams import LUMA_SIZE, REGIONS, SIZE, TinyStreams
from vljepa_edge.nn.x_encoder import XEncoder

_WINDOW = 16  # of V-JEPA 2, where nothing else is asked for


class Seen(NamedTuple):
    """Graphs by file, a sample of each stream, and the frames that they see: their side, how many in a window."""

    graphs: Mapping[str, Graph]
    streams: Mapping[str, Tensor]
    size: int
    window: int


def vision_graphs(x_encoder: XEncoder | TinyStreams, predictor: Predictor, window: int | None) -> Seen:
    """window: None for the encoder's own. Raises ExportError when it doesn't fit the encoder or the predictor."""
    seen = _tiny(x_encoder, window) if isinstance(x_encoder, TinyStreams) else _v_jepa(x_encoder, window)
    for name, stream in predictor.streams.items():
        assert isinstance(stream, StreamTokens)
        try:
            stream.flat(seen.streams[name])
        except InputError as error:
            raise ExportError(f"a window of {seen.window} frames doesn't fit the predictor: {error}") from error
    return seen


def _v_jepa(x_encoder: XEncoder, window: int | None) -> Seen:
    config, window = x_encoder.config, _WINDOW if window is None else window
    if window % config.tubelet:
        raise ExportError(f"a window must be a multiple of {config.tubelet} frames, not {window}")
    frames = torch.zeros(1, window, config.size, config.size, 3, dtype=torch.uint8)
    stream = torch.zeros(1, window // config.tubelet * (config.size // config.patch) ** 2, config.width)
    entry = role(
        x_encoder.units["x_encoder"], [tensor("frames", "uint8", *frames.shape)], [features("x_encoder", stream)]
    )
    graph = Graph(x_encoder, {"frames": frames}, ("x_encoder",), {"x_encoder_video": entry})
    return Seen({"graphs/x_encoder.onnx": graph}, {"x_encoder": stream}, config.size, window)


def _tiny(x_encoder: TinyStreams, window: int | None) -> Seen:
    config, units = x_encoder.config, x_encoder.units
    if window not in (None, config.window):
        raise ExportError(f"this model's window has {config.window} frames, not {window}")
    frame = torch.zeros(1, SIZE, SIZE, 3, dtype=torch.uint8)
    region = torch.zeros(1, REGIONS, config.grid + config.concept)
    luma = torch.zeros(1, config.window, LUMA_SIZE, LUMA_SIZE)
    motion = torch.zeros(1, x_encoder.motion.tokens, x_encoder.motion.width)
    graphs = {
        "graphs/x_encoder_appearance.onnx": Graph(
            x_encoder.appearance, {"frame": frame}, ("appearance", "luma"),
            {"x_encoder_appearance": role(
                units["appearance"], [tensor("frame", "uint8", *frame.shape)],
                [features("appearance", region), features("luma", luma[:, 0])],
            )},
        ),
        "graphs/x_encoder_motion.onnx": Graph(
            x_encoder.motion, {"luma": luma}, ("motion",),
            {"x_encoder_motion": role(units["motion"], [features("luma", luma)], [features("motion", motion)])},
        ),
    }  # fmt: skip
    streams = {"appearance": region[:, None].repeat(1, config.window, 1, 1), "motion": motion}
    return Seen(graphs, streams, SIZE, config.window)
