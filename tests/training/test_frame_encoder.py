"""The frozen stream by the engine that ships is the one of PyTorch; what is the same frame is encoded once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from tests.export.small_parts import efficientnet
from vljepa_edge.errors import InputError
from vljepa_edge.nn.tiny_streams import CONCEPT_WIDTH, GRID_WIDTH, AppearanceStream, TinyStreams
from vljepa_edge.nn.x_encoder import XEncoder
from vljepa_edge.nn.x_encoder_config import TinyStreamsConfig, XEncoderConfig
from vljepa_edge.training.frame_encoder import FrameEncoder, frozen_encoder

WINDOW = 8
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def streams() -> TinyStreams:
    """The default's X-encoder with random weights that keep the spread of what passes."""
    torch.manual_seed(0)
    made = TinyStreams(TinyStreamsConfig(motion_width=2))
    projection = torch.randn(1280, GRID_WIDTH) / 36
    classes = torch.nn.functional.normalize(torch.randn(1000, CONCEPT_WIDTH), dim=-1)
    made.appearance = AppearanceStream(efficientnet(), torch.full((1280,), 0.5), projection, classes)
    return made.eval()


class Counted(FrameEncoder):
    """Knows how many frames went through the network."""

    frames = 0

    def encode(self, frames: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.frames += len(frames)
        return super().encode(frames)


@pytest.fixture(scope="module")
def encoder(streams: TinyStreams) -> Counted:
    return Counted(streams.appearance, WINDOW)


def clips(count: int, frames: int, distinct: int | None = None) -> Tensor:
    """Random blocks; of each clip the first `distinct` frames differ, and the last of them stays."""
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, 256, (count, frames, 14, 14, 3), np.uint8)
    if distinct is not None:
        blocks[:, distinct:] = blocks[:, distinct - 1 : distinct]
    return torch.from_numpy(blocks.repeat(16, 2).repeat(16, 3))


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """To the rounding of fp32 sums in another order. A ConSE vector jumps where two classes tie for the last place."""
    assert {name: value.shape for name, value in found.items()} == {n: v.shape for n, v in expected.items()}
    torch.testing.assert_close(found["luma"], expected["luma"], atol=1e-5, rtol=0)
    for part in (slice(None, GRID_WIDTH), slice(GRID_WIDTH, None)):
        ours, theirs = (each["appearance"][..., part] for each in (found, expected))
        assert float((ours - theirs).norm() / theirs.norm()) < 1e-3


def test_it_is_the_stream_of_pytorch_in_fp32_also_where_bf16_is_native(streams: TinyStreams, encoder: Counted) -> None:
    video = clips(1, WINDOW)  # twice the frames that go through it at once
    assert_same(encoder(video), streams.encode_frozen(video))
    part = encoder.encode(video[0, :3].numpy())  # not a multiple of them
    whole = encoder.encode(video[0].numpy())
    assert [len(each) for each in part] == [3, 3]
    for some, all_ in zip(part, whole, strict=True):
        np.testing.assert_allclose(some, all_[:3], rtol=1e-4, atol=1e-4)


def test_a_frame_that_is_the_one_before_it_is_encoded_with_it(streams: TinyStreams, encoder: Counted) -> None:
    video, before = clips(3, WINDOW, distinct=2), encoder.frames
    found = encoder(video)
    assert encoder.frames - before == 6
    each = [encoder(video[i : i + 1]) for i in range(3)]
    for name in found:
        torch.testing.assert_close(found[name], torch.cat([one[name] for one in each]), atol=1e-4, rtol=1e-4)
        assert torch.equal(found[name][:, 1:2].expand_as(found[name][:, 1:]), found[name][:, 1:])
        assert not torch.equal(found[name][:, 0], found[name][:, 1])


def test_an_image_is_encoded_once_and_fills_the_window(streams: TinyStreams, encoder: Counted) -> None:
    images, before = clips(2, 1), encoder.frames
    found = encoder(images)
    assert encoder.frames - before == 2
    assert_same(found, streams.encode_frozen(images))
    repeated = encoder(images.expand(-1, WINDOW, -1, -1, -1))
    assert encoder.frames - before == 4
    for name in found:
        assert torch.equal(found[name], repeated[name])


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((1, 4, 224, 224, 3), torch.uint8), ((1, WINDOW, 112, 112, 3), torch.uint8), ((1, 1, 224, 224, 3), torch.float32)],
)
def test_what_the_stream_refuses_is_refused(
    streams: TinyStreams, encoder: Counted, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    for encode in (streams.encode_frozen, encoder):
        with pytest.raises(InputError, match="frames"):
            encode(torch.zeros(shape, dtype=dtype))


def test_the_engine_is_taken_on_a_cpu_and_where_frames_stand_alone(streams: TinyStreams) -> None:
    assert isinstance(frozen_encoder(streams, CPU), FrameEncoder)
    assert not isinstance(frozen_encoder(streams, torch.device("cuda")), FrameEncoder)
    torch.manual_seed(0)
    other = XEncoder(XEncoderConfig("none", 48, 1, 2, 64, 32, 16, 2)).eval()
    encode = frozen_encoder(other, CPU)
    assert not isinstance(encode, FrameEncoder)
    video = torch.randint(0, 256, (2, 4, 32, 32, 3)).to(torch.uint8)
    with torch.no_grad():
        found, expected = encode(video), other.encode_frozen(video)
    assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in found)
