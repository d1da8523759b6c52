"""The colours of YUV and HDR frames, against the formulas of the standards in float64."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vljepa_edge.video import open_source

RED, BLUE = {"601": 0.299, "709": 0.2126, "2020": 0.2627}, {"601": 0.114, "709": 0.0722, "2020": 0.0593}
BT709, BT601, BT2020, LIMITED, FULL, PQ, HLG = 1, 6, 9, 1, 2, 16, 18
YUV = (120, 90, 170)
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])  # ITU-R BT.2087


def rgb_of(yuv: tuple[int, int, int], matrix: str, *, full: bool = False) -> NDArray[np.float64]:
    """What 8-bit YUV means."""
    red, blue = RED[matrix], BLUE[matrix]
    y, u, v = np.array(yuv, float)
    y, u, v = (y - (0 if full else 16)) / (255 if full else 219), *((c - 128) / (255 if full else 224) for c in (u, v))
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    return np.clip([r, (y - red * r - blue * b) / (1 - red - blue), b], 0, 1) * 255


def write(path: Path, width: int, height: int, space: int, span: int, codec: str = "ffv1") -> Path:
    """A video of two flat frames of YUV, with these tags; 2 and 0 are no tag."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.colorspace, stream.codec_context.color_range = space, span
        for number in range(2):
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane, value in zip(frame.planes, YUV, strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            frame.pts, frame.colorspace, frame.color_range = number, space, span
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def first(path: Path, size: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    with open_source(path, size=size) as source:
        return next(source).image


class TestYUV:
    @pytest.mark.parametrize(
        ("width", "height", "matrix"),
        [(640, 480, "601"), (720, 576, "601"), (1280, 720, "709"), (720, 1280, "709"), (1920, 800, "709")],
    )
    @pytest.mark.parametrize("codec", ["ffv1", "libx264"])
    def test_untagged_video_is_bt709_from_720p_on(
        self, tmp_path: Path, width: int, height: int, matrix: str, codec: str
    ) -> None:
        path = write(tmp_path / "v.mkv", width, height, space=2, span=0, codec=codec)
        for size in (None, (64, 64)):
            assert abs(first(path, size)[20, 20] - rgb_of(YUV, matrix)).max() <= 2

    @pytest.mark.parametrize(("space", "matrix"), [(BT709, "709"), (BT601, "601"), (BT2020, "2020")])
    @pytest.mark.parametrize("span", [LIMITED, FULL])
    @pytest.mark.parametrize("size", [(320, 240), (1280, 720)])
    def test_tags_are_believed_at_every_size(
        self, tmp_path: Path, space: int, matrix: str, span: int, size: tuple[int, int]
    ) -> None:
        image = first(write(tmp_path / "v.mkv", *size, space=space, span=span))
        assert abs(image[20, 20] - rgb_of(YUV, matrix, full=span == FULL)).max() <= 2


def hdr_signal(sdr: NDArray[np.float64], transfer: int) -> NDArray[np.float64]:
    """The PQ or HLG signal, 0 to 1, of SDR pixels 0 to 1 whose white is 203 cd/m2 (ITU-R BT.2408 and BT.2100)."""
    nits = 203 * (sdr**2.4 @ TO_2020.T)
    if transfer == PQ:
        y = (nits / 10_000) ** 0.1593017578125
        return ((0.8359375 + 18.8515625 * y) / (1 + 18.6875 * y)) ** 78.84375
    luminance = nits @ [0.2627, 0.6780, 0.0593] / 1000
    scene = nits / 1000 * np.maximum(luminance, 1e-9)[..., None] ** (1 / 1.2 - 1)
    curved = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), curved)


def write_hdr(path: Path, signal: NDArray[np.float64], transfer: int, space: int = BT2020) -> Path:
    """One frame of HDR `signal` (height, width, 3) in ten bits, BT.2020."""
    red, blue = RED["2020"], BLUE["2020"]
    y = signal @ [red, 1 - red - blue, blue]
    u, v = (signal[..., 2] - y) / (2 * (1 - blue)), (signal[..., 0] - y) / (2 * (1 - red))
    planes = [y * 876 + 64, u * 896 + 512, v * 896 + 512]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.height, stream.width = y.shape
        stream.pix_fmt = "yuv444p10le"
        for tagged in (stream.codec_context, frame := av.VideoFrame(stream.width, stream.height, "yuv444p10le")):
            tagged.colorspace, tagged.color_range = space, LIMITED
            tagged.color_trc, tagged.color_primaries = transfer, 9
        for plane, values in zip(frame.planes, planes, strict=True):
            rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
            rows[:, : plane.width] = values.round()
            plane.update(rows.tobytes())
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("transfer", [PQ, HLG])
class TestHDR:
    @pytest.mark.parametrize("space", [BT2020, 2])
    def test_sdr_colours_in_hdr_come_out_as_they_were(self, tmp_path: Path, transfer: int, space: int) -> None:
        colours = np.random.default_rng(0).uniform(0.1, 0.85, (8, 8, 3))
        signal = hdr_signal(colours, transfer).repeat(8, 0).repeat(8, 1)
        image = first(write_hdr(tmp_path / "v.mkv", signal, transfer, space))[4::8, 4::8]
        assert abs(image / 255 - colours).max() < 0.02

    def test_white_is_white_and_what_is_brighter_is_told_apart(self, tmp_path: Path, transfer: int) -> None:
        levels = np.array([0.5, 1.0, 1.5, 2.5, 4.9]) ** (1 / 2.4)  # light in units of SDR white
        signal = hdr_signal(np.tile(levels[None, :, None], (1, 1, 3)), transfer).repeat(64, 0).repeat(64, 1)
        row = first(write_hdr(tmp_path / "v.mkv", signal, transfer))[32, 32::64].astype(int)
        assert (np.ptp(row, axis=1) <= 1).all()
        assert abs(row[0, 0] / 255 - levels[0]) < 0.01
        assert row[1, 0] > 230
        assert (np.diff(row[:, 0]) > 0).all()
        assert row[-1, 0] >= 254

    def test_black_is_black(self, tmp_path: Path, transfer: int) -> None:
        path = write_hdr(tmp_path / "v.mkv", np.zeros((64, 64, 3)), transfer)
        assert first(path, (32, 32)).max() <= 1

    def test_colours_beyond_sdr_keep_their_hue(self, tmp_path: Path, transfer: int) -> None:
        orange = 3 * np.array([1.0, 0.3, 0.1])
        signal = hdr_signal((orange ** (1 / 2.4))[None, None], transfer).repeat(64, 0).repeat(64, 1)
        light = (first(write_hdr(tmp_path / "v.mkv", signal, transfer))[32, 32] / 255.0) ** 2.4
        assert np.allclose(light / light[0], orange / orange[0], atol=0.03)
        assert light[0] > 0.9
