"""Frames in: files, photos, cameras, RTSP and arrays, sampled by timestamp and scaled once for everyone."""

from vljepa_edge.video.frame import Frame, SourceStats
from vljepa_edge.video.preprocess import as_rgb, resize
from vljepa_edge.video.source import Source, open_source

__all__ = ["Frame", "Source", "SourceStats", "as_rgb", "open_source", "resize"]
