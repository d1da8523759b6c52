"""HEIF and AVIF photos: the complete picture out of its tiles, cut, turned and mirrored as the file says.

FFmpeg gives each coded item as a stream of its own, under the item's number, and PyAV does not say how they belong
together.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from av.error import FFmpegError

from vljepa_edge.errors import VideoError
from vljepa_edge.video.frame import MAX_PIXELS, Image, Picture, Pictures, SourceStats
from vljepa_edge.video.heif_items import Grid, Items
from vljepa_edge.video.orientation import Turn
from vljepa_edge.video.preprocess import Scaler

_UNSPECIFIED, _MATRIX_601 = 2, 6  # ITU-T H.273
# Turns counter-clockwise, by quarters.
_QUARTERS = (
    Turn(),
    Turn(transposed=True, flip_rows=True),
    Turn(flip_rows=True, flip_columns=True),
    Turn(transposed=True, flip_columns=True),
)


class HeifPhoto:
    """One open photo. Reading raises VideoError, saying what it is made of that is not supported.

    Raises FFmpegError if it can't be opened.
    """

    def __init__(self, path: str, url: str, items: Items, stats: SourceStats, options: dict[str, str]) -> None:
        self._path, self._items, self._stats = path, items, stats
        self._limits = {"max_pixels": str(MAX_PIXELS)}
        self._container = av.open(url, options={**options, **self._limits}, metadata_errors="replace")

    def close(self) -> None:
        self._container.close()

    def pictures(self) -> Pictures:
        """The primary picture at second 0. Closes the file at the end."""
        try:
            yield Picture(np.ascontiguousarray(self._picture(self._items.primary)), 0.0)
        finally:
            self.close()

    def _picture(self, item: int) -> Image:
        kind, parts = self._items.kinds.get(item), self._items.parts.get(item, [])
        if kind == "grid":
            image = self._put_together(self._items.grid(item), parts)
        elif kind == "iden" and len(parts) == 1 and parts[0] != item:
            image = self._picture(parts[0])
        else:
            (image,) = (tile for _, tile in self._decoded([item], item))
        return self._shown(image, item)

    def _put_together(self, grid: Grid, tiles: list[int]) -> Image:
        if len(tiles) != grid.rows * grid.columns or not tiles:
            raise VideoError(self._path, f"{len(tiles)} tiles for a grid of {grid.rows} x {grid.columns}")
        if not 0 < grid.width * grid.height <= MAX_PIXELS:
            size = f"{grid.width} x {grid.height}"
            raise VideoError(self._path, f"a picture of {size} is too large; at most {MAX_PIXELS} pixels are read")
        image = np.zeros((grid.height, grid.width, 3), np.uint8)
        for tile, pixels in self._decoded(tiles, self._items.primary):
            height, width, _ = pixels.shape
            row, column = divmod(tiles.index(tile), grid.columns)
            place = image[row * height : (row + 1) * height, column * width : (column + 1) * width]
            place[:] = pixels[: place.shape[0], : place.shape[1]]
        return image

    def _decoded(self, items: list[int], described: int) -> Iterator[tuple[int, Image]]:
        """Each of these items once, with the pixels that it codes. The colours are those that `described` has."""
        streams = {stream.id: stream for stream in self._container.streams.video}
        for item in items:
            stream = streams.get(item)
            if stream is None or stream.codec_context is None:
                kind = self._items.kinds.get(item, "nothing")
                raise VideoError(
                    self._path, f"its picture is coded as {kind}, which is not supported; convert it to JPEG"
                )
            stream.codec_context.options = self._limits
        missing, scaler = set(items), Scaler()
        for packet in self._container.demux([streams[item] for item in items]):
            try:
                frames = packet.decode()
            except FFmpegError:
                self._stats.corrupt += 1
                continue
            item = packet.stream.id
            for frame in frames:
                if item in missing and isinstance(frame, av.VideoFrame):
                    missing.remove(item)
                    self._tag(frame, [described, item])
                    yield item, scaler.upright(Picture(frame, 0.0), None, "cover")
        if missing:
            raise VideoError(self._path, f"{len(missing)} of its {len(items)} parts can't be decoded")
        self._stats.frames_decoded += 1

    def _tag(self, frame: av.VideoFrame, items: list[int]) -> None:
        """Gives the frame the colours that the file names, or BT.601, that of photos, where nothing does."""
        if frame.format.is_rgb or frame.format.name.startswith("gbr"):
            return
        for item in items:
            for name, data in self._items.properties[item]:
                if name == "colr" and data[:4] == b"nclx" and len(data) >= 11:
                    primaries, transfer, matrix, span = struct.unpack_from(">HHHB", data, 4)
                    frame.color_primaries, frame.color_trc, frame.colorspace = primaries, transfer, matrix
                    if not frame.format.name.startswith("yuvj"):
                        frame.color_range = 2 if span & 0x80 else 1
                    return
        if frame.colorspace == _UNSPECIFIED:
            frame.colorspace = _MATRIX_601

    def _shown(self, image: Image, item: int) -> Image:
        """`image` cut, turned and mirrored in the order that the item's properties have."""
        for name, data in self._items.properties[item]:
            if name == "ispe" and len(data) >= 12:
                width, height = struct.unpack_from(">II", data, 4)
                image = image[:height, :width]
            elif name == "clap" and len(data) >= 32:
                image = self._cut(image, data)
            elif name == "irot" and data:
                image = _QUARTERS[data[0] & 3].apply(image)
            elif name == "imir" and data:
                image = Turn(flip_rows=not data[0] & 1, flip_columns=bool(data[0] & 1)).apply(image)
        if image.size == 0:
            raise VideoError(self._path, "its picture has no pixels")
        return image

    def _cut(self, image: Image, data: bytes) -> Image:
        """The clean aperture: width, height, and how far its centre lies right of and below the picture's."""
        numbers = struct.unpack_from(">IIIIiIiI", data)
        if not all(numbers[1::2]):
            raise VideoError(self._path, "its clean aperture is damaged")
        sides = []
        for axis, (length, offset) in enumerate(zip(range(0, 4, 2), range(4, 8, 2), strict=True)):
            kept = Fraction(numbers[length], numbers[length + 1])
            first = (image.shape[1 - axis] - kept) / 2 + Fraction(numbers[offset], numbers[offset + 1])
            sides.append(slice(max(0, round(first)), max(0, round(first) + round(kept))))
        return image[sides[1], sides[0]]
