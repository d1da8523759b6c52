"""The one preprocessing, the same for training, calibration and streaming: pixels to uint8 RGB of the model's size."""

from __future__ import annotations

import math
import threading
from typing import Literal, TypeAlias, cast, get_args

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from vljepa_edge.errors import FrameError, InputError
from vljepa_edge.video import colour
from vljepa_edge.video.frame import MAX_PIXELS, Image, Picture

ResizeMode: TypeAlias = Literal["cover", "stretch"]

ALLOWED = (
    "it must be a uint8 array of shape (height, width, 3) RGB, (height, width, 4) RGBA, "
    "(height, width) or (height, width, 1) grey"
)

# Bicubic with every chroma sample kept: scaled RGB stays within two levels of Pillow's bicubic. The numbers are
# libswscale's own for accurate rounding and full horizontal chroma in and out: PyAV names them only from release 18 on,
# and the last for Python 3.10 is 17.
_QUALITY = int(Interpolation.BICUBIC) | 0x40000 | 0x4000 | 0x2000
# Before a side is scaled to more than this many times what is kept of it, the picture is cut: 10000 x 1 stays harmless.
_WASTE = 4
# libswscale refuses to shrink a side more than about 64 times at once; beyond this it is done in steps.
_STRIDE = 32


def as_rgb(image: object) -> Image:
    """Any allowed frame as uint8 RGB (height, width, 3), C-contiguous. A frame that already is one is returned as is.

    Grey is repeated three times, alpha is dropped. Raises FrameError, saying what is allowed.
    """
    if not isinstance(image, np.ndarray):
        if not hasattr(image, "__array__") and not hasattr(image, "__array_interface__"):
            raise FrameError(f"a frame can't be a {type(image).__name__}; {ALLOWED}")
        image = np.asarray(image)
    if image.dtype != np.uint8:
        raise FrameError(f"{_what_is_wrong(image)}; {ALLOWED}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        channels_first = image.ndim == 3 and image.shape[0] in (1, 3, 4)
        hint = ", which looks like channels first: use image.transpose(1, 2, 0)" if channels_first else ""
        raise FrameError(f"a frame can't have the shape {image.shape}{hint}; {ALLOWED}")
    height, width, channels = image.shape
    if height * width > MAX_PIXELS:
        raise FrameError(f"a frame of {width} x {height} is too large; it must have at most {MAX_PIXELS} pixels")
    if channels == 1:
        return np.repeat(image, 3, axis=2)
    if channels == 3 and image.flags.c_contiguous:
        return image
    return np.ascontiguousarray(image[:, :, :3])


def resize(image: Image, width: int, height: int, mode: ResizeMode = "cover") -> Image:
    """Scales uint8 RGB (h, w, 3) to (height, width, 3), bicubic with antialiasing, in libswscale.

    `cover` scales until both sides are filled and keeps the centre; `stretch` ignores the proportions. Pixels are the
    same as those of a video that decodes to this image. An image of that size already is returned as is.
    """
    check_fit((width, height), mode)
    image = as_rgb(image)
    if image.shape[:2] == (height, width):
        return image
    return _scaler_of_thread().fit(_frame_of(image), (width, height), mode)


def check_fit(size: tuple[int, int], mode: str) -> None:
    """Raises InputError unless `size` is a (width, height) that a frame may have and `mode` a way to get there."""
    if mode not in get_args(ResizeMode):
        raise InputError(f"the resize mode must be one of {', '.join(get_args(ResizeMode))}, got {mode!r}")
    width, height = size
    if width < 1 or height < 1 or width * height > MAX_PIXELS:
        raise InputError(f"the size of frames must be 1 to {MAX_PIXELS} pixels, got {width} x {height}")


class Scaler:
    """Converts decoded frames of any pixel format. Keeps libswscale's tables between frames; for one thread only."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def upright(self, picture: Picture, size: tuple[int, int] | None, mode: ResizeMode) -> Image:
        """A picture as it is meant to be seen: turned, in SDR colours, scaled to `size` (width, height)."""
        frame = picture.pixels
        if not isinstance(frame, av.VideoFrame):
            return frame if size is None else resize(frame, *size, mode)
        colour.tag(frame)
        if size is None:
            image = _pixels(self._rgb(frame)).copy()
        elif picture.turn.transposed:
            image = self.fit(frame, (size[1], size[0]), mode, picture.aspect)
        else:
            image = self.fit(frame, size, mode, picture.aspect)
        return np.ascontiguousarray(picture.turn.apply(image))

    def fit(self, frame: av.VideoFrame, size: tuple[int, int], mode: ResizeMode, aspect: float = 1.0) -> Image:
        """`frame`, whose pixels are `aspect` times as wide as high, scaled to `size` (width, height)."""
        width, height = size
        if mode == "stretch":
            return np.array(_pixels(self._rgb(frame, size)))
        shown = frame.width * aspect
        scale = max(width / shown, height / frame.height)
        covering = max(width, round(shown * scale)), max(height, round(frame.height * scale))
        keep_x, keep_y = frame.width, frame.height
        if covering[0] > _WASTE * width or covering[1] > _WASTE * height:
            keep_x = min(keep_x, math.ceil(_WASTE / 2 * width / (scale * aspect)))
            keep_y = min(keep_y, math.ceil(_WASTE / 2 * height / scale))
        if (keep_x, keep_y) != (frame.width, frame.height):
            cut = _centre(_pixels(self._rgb(frame)), keep_x, keep_y)
            return self.fit(_frame_of(np.ascontiguousarray(cut)), size, mode, aspect)
        return np.array(_centre(_pixels(self._rgb(frame, covering)), width, height))

    def _rgb(self, frame: av.VideoFrame, size: tuple[int, int] | None = None) -> av.VideoFrame:
        width, height = size or (frame.width, frame.height)
        if frame.width > _STRIDE * width or frame.height > _STRIDE * height:
            frame = self._rgb(frame, (math.isqrt(frame.width * width), math.isqrt(frame.height * height)))
        pixel_format = "rgb48le" if colour.is_hdr(frame) else "rgb24"
        return self._reformatter.reformat(
            frame, width=width, height=height, format=pixel_format, interpolation=_QUALITY, threads=1
        )


def with_alpha(frame: av.VideoFrame) -> Image:
    """The pixels of `frame` as uint8 RGBA (height, width, 4)."""
    return np.array(frame.reformat(format="rgba", interpolation=_QUALITY, threads=1).to_ndarray())


_of_thread = threading.local()


def _scaler_of_thread() -> Scaler:
    if not hasattr(_of_thread, "scaler"):
        _of_thread.scaler = Scaler()
    return cast(Scaler, _of_thread.scaler)


def _frame_of(image: Image) -> av.VideoFrame:
    """An rgb24 frame that shares the memory of a C-contiguous image."""
    return av.VideoFrame.from_numpy_buffer(image, format="rgb24")


def _pixels(frame: av.VideoFrame) -> Image:
    """A view of an rgb24 frame's memory, or the SDR pixels of an HDR frame."""
    if colour.is_hdr(frame):
        return colour.to_sdr(cast(NDArray[np.uint16], frame.to_ndarray()), frame.color_trc, frame.color_primaries)
    return cast(Image, frame.to_ndarray())


def _centre(image: Image, width: int, height: int) -> Image:
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def _what_is_wrong(image: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> str:
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            return f"a frame can't be {image.dtype} with NaN or infinite values"
        return f"a frame can't be {image.dtype}: convert 0..1 with (image * 255).round().astype(np.uint8)"
    return f"a frame can't be {image.dtype}"
