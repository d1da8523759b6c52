"""What the numbers of a decoded frame mean: the matrix of untagged video, and HDR light as SDR pixels."""

from __future__ import annotations

from functools import cache
from typing import cast

import av
import numpy as np
from numpy.typing import NDArray

from vljepa_edge.video.frame import Image

# Numbers of ITU-T H.273.
_UNSPECIFIED, _MATRIX_709, _MATRIX_2020 = 2, 1, 9
_PQ, _HLG = 16, 18
_PRIMARIES_709, _PRIMARIES_P3 = (1, 12)

_WHITE = 203.0  # cd/m2 of SDR white in HDR (ITU-R BT.2408)
_PEAK = 1000.0 / _WHITE  # the display that HLG is meant for, and that most PQ is mastered on, in units of SDR white
_KNEE = 0.8  # below this share of SDR white light stays as it is; what is above, up to _PEAK, shares the rest
_SDR_GAMMA = 2.4  # of an SDR display (ITU-R BT.1886)
_STEPS = 4095  # of tables of light
_STRIP = 1 << 13  # pixels that are converted at once: the intermediate values stay small

# Linear RGB to linear BT.709, from BT.2020 (ITU-R BT.2087) and from Display P3.
_FROM_2020 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
_FROM_P3 = ((1.2249, -0.2247, 0.0), (-0.0420, 1.0419, 0.0), (-0.0196, -0.0786, 1.0979))
_LUMINANCE_2020 = (0.2627, 0.6780, 0.0593)

Light = NDArray[np.float32]


def tag(frame: av.VideoFrame) -> None:
    """Gives YUV without a tag the matrix that players assume: BT.2020 for HDR, BT.709 from 720p on, else BT.601."""
    if frame.colorspace != _UNSPECIFIED or frame.format.is_rgb:
        return
    if is_hdr(frame):
        frame.colorspace = _MATRIX_2020
    elif frame.height >= 720 or frame.width >= 1280:
        frame.colorspace = _MATRIX_709


def is_hdr(frame: av.VideoFrame) -> bool:
    """Whether `frame` holds PQ or HLG, the two of HDR10, HDR10+, Dolby Vision's base layer and broadcasts."""
    return frame.color_trc in (_PQ, _HLG)


def to_sdr(pixels: NDArray[np.uint16], transfer: int, primaries: int) -> Image:
    """HDR pixels, uint16 RGB (height, width, 3) in PQ or HLG as `transfer` says, as uint8 RGB of an SDR display.

    SDR white in HDR comes out at 244 of 255, what is darker than 80 % of it as in SDR, and highlights in between.
    """
    height, width, _ = pixels.shape
    flat = pixels.reshape(-1, 3)
    out = np.empty(flat.shape, np.uint8)
    for start in range(0, len(flat), _STRIP):
        strip = slice(start, start + _STRIP)
        out[strip] = _pixels(_mapped(_light(flat[strip], transfer), primaries))
    return out.reshape(height, width, 3)


def _light(pixels: NDArray[np.uint16], transfer: int) -> Light:
    """Linear light on the display, 1 being SDR white (ITU-R BT.2100)."""
    light: Light = _curve(transfer)[pixels]
    if transfer == _HLG:
        scene = light @ np.array(_LUMINANCE_2020, np.float32)
        light *= _system_gain()[_steps(scene)][:, None]
    return light


def _mapped(light: Light, primaries: int) -> Light:
    """Light within the gamut and range of an SDR display, in its hue."""
    if primaries != _PRIMARIES_709:
        matrix = np.array(_FROM_P3 if primaries == _PRIMARIES_P3 else _FROM_2020, np.float32)
        light = light @ matrix.T
    np.clip(light, 0, _PEAK, out=light)
    brightest = np.maximum(np.maximum(light[:, 0], light[:, 1]), light[:, 2])
    light *= _gain()[_steps(brightest / np.float32(_PEAK))][:, None]
    return light


def _pixels(light: Light) -> Image:
    return _encoding()[_steps(light)]


def _steps(light: Light) -> NDArray[np.uint16]:
    """The places of light, 0 to 1, in a table that is as fine in the dark as the eye."""
    return cast(NDArray[np.uint16], (np.sqrt(light) * np.float32(_STEPS) + np.float32(0.5)).astype(np.uint16))


@cache
def _curve(transfer: int) -> Light:
    """For each uint16 signal: of PQ the light in units of SDR white, of HLG the light of the scene, 0 to 1."""
    signal = np.arange(65536) / 65535
    if transfer == _PQ:
        root = signal ** (32 / 2523)
        light = (np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)) ** (8192 / 1305)
        return (light * (10_000 / _WHITE)).astype(np.float32)
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


@cache
def _system_gain() -> Light:
    """By what HLG's light of a scene is multiplied, for each step of its luminance, to be that of the display."""
    return (_PEAK * (np.arange(_STEPS + 1) / _STEPS) ** (2 * 0.2)).astype(np.float32)


@cache
def _gain() -> Light:
    """By what a pixel is multiplied, for each step of its brightest channel up to _PEAK."""
    brightest = np.maximum(np.arange(_STEPS + 1) / _STEPS, 1e-9) ** 2 * _PEAK
    share = np.maximum(brightest - _KNEE, 0) / (_PEAK - _KNEE)
    bend = (1 - _KNEE) / (_PEAK - 1)  # the slope at the knee is 1
    curved = _KNEE + (1 - _KNEE) * share * (1 + bend) / (share + bend)
    return np.where(brightest > _KNEE, curved / brightest, 1).astype(np.float32)


@cache
def _encoding() -> Image:
    """The pixel of each step of light up to SDR's brightest."""
    light = (np.arange(_STEPS + 1) / _STEPS) ** 2
    return cast(Image, (light ** (1 / _SDR_GAMMA) * 255).round().astype(np.uint8))
