"""EfficientNet-Lite0 with folded batch norms against the unfolded network in float64 and the reference package."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vljepa_edge.nn.efficientnet import EfficientNetLite0

# Table of Tan and Le 2019, Lite0: expansion, kernel, stride, channels, repeats.
STAGES = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
BLOCKS = [
    (expansion, kernel, stride if repeat == 0 else 1, out)
    for expansion, kernel, stride, out, repeats in STAGES
    for repeat in range(repeats)
]
State = dict[str, Tensor]


def random_checkpoint() -> State:
    """A state dict of the reference's layout with random weights and batch norms that are anything but trivial."""
    rng, state = torch.Generator().manual_seed(0), {}

    def conv(name: str, norm: str, out: int, inp: int, kernel: int) -> None:
        state[f"{name}.weight"] = torch.randn(out, inp, kernel, kernel, generator=rng) * (2 / (inp * kernel**2)) ** 0.5
        state[f"{norm}.weight"] = 0.5 + torch.rand(out, generator=rng)
        state[f"{norm}.bias"] = 0.5 * torch.randn(out, generator=rng)
        state[f"{norm}.running_mean"] = 0.5 * torch.randn(out, generator=rng)
        state[f"{norm}.running_var"] = 0.2 + 2 * torch.rand(out, generator=rng)
        state[f"{norm}.num_batches_tracked"] = torch.tensor(1)

    conv("_conv_stem", "_bn0", 32, 3, 3)
    inp = 32
    for i, (expansion, kernel, _, out) in enumerate(BLOCKS):
        wide, block = inp * expansion, f"_blocks.{i}."
        if expansion > 1:
            conv(block + "_expand_conv", block + "_bn0", wide, inp, 1)
        conv(block + "_depthwise_conv", block + "_bn1", wide, 1, kernel)
        conv(block + "_project_conv", block + "_bn2", out, wide, 1)
        inp = out
    conv("_conv_head", "_bn1", 1280, inp, 1)
    state["_fc.weight"], state["_fc.bias"] = torch.randn(1000, 1280, generator=rng), torch.randn(1000, generator=rng)
    return state


def same_convolution(x: Tensor, weight: Tensor, stride: int, groups: int) -> Tensor:
    """TensorFlow's SAME: the output has ceil(size / stride) cells, and what is odd is padded at the end."""
    padding = []
    for size, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        padding += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, padding), weight, stride=stride, groups=groups)


def unfolded(state: State, pixels: Tensor) -> Tensor:
    """The network as it was trained, every batch norm a step of its own, in float64."""
    state = {name: value.double() for name, value in state.items()}

    def layer(x: Tensor, conv: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        x = same_convolution(x, state[f"{conv}.weight"], stride, groups)
        statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return F.batch_norm(x, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)

    x = layer((pixels.double() - 127) / 128, "_conv_stem", "_bn0", stride=2).clamp(0, 6)
    for i, (expansion, _, stride, out) in enumerate(BLOCKS):
        block, y = f"_blocks.{i}.", x
        if expansion > 1:
            y = layer(y, block + "_expand_conv", block + "_bn0").clamp(0, 6)
        y = layer(y, block + "_depthwise_conv", block + "_bn1", stride, groups=y.shape[1]).clamp(0, 6)
        y = layer(y, block + "_project_conv", block + "_bn2")
        x = x + y if stride == 1 and x.shape[1] == out else y
    return layer(x, "_conv_head", "_bn1").clamp(0, 6)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("efficientnet") / "random.pth"
    torch.save(random_checkpoint(), file)
    return file


@pytest.fixture(scope="module")
def net(checkpoint: Path) -> EfficientNetLite0:
    return EfficientNetLite0.from_checkpoint(checkpoint)


@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.slow
def test_folding_the_batch_norms_changes_nothing(net: EfficientNetLite0, size: int) -> None:
    pixels = torch.randint(0, 256, (2, 3, size, size)).float()
    with torch.no_grad():
        expected, found = unfolded(random_checkpoint(), pixels), net(pixels)
    assert found.shape == expected.shape == (2, 1280, size // 32, size // 32)
    assert float(expected.std()) > 0.1 and 0.05 < float((expected > 0).double().mean()) < 0.95
    torch.testing.assert_close(found.double(), expected, rtol=1e-3, atol=1e-3)


def test_the_classifier_is_the_checkpoints(net: EfficientNetLite0) -> None:
    state, features = random_checkpoint(), torch.randn(3, 1280)
    torch.testing.assert_close(net.classify(features), features @ state["_fc.weight"].T + state["_fc.bias"])


def test_it_is_frozen_and_has_lite0s_size(net: EfficientNetLite0) -> None:
    assert not net.training and not any(p.requires_grad for p in net.parameters())
    assert len(net.blocks) == 16
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    norms = sum(2 * m.out_channels for m in convolutions)  # a scale and a shift for each bias of ours
    total = sum(p.numel() for p in net.parameters()) + norms - sum(m.out_channels for m in convolutions)
    assert total == 4_652_008  # the published parameter count


def test_a_missing_layer_is_an_error(tmp_path: Path) -> None:
    state = random_checkpoint()
    del state["_blocks.7._bn1.running_var"]
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(KeyError, match=r"_blocks\.7\._bn1\.running_var"):
        EfficientNetLite0.from_checkpoint(tmp_path / "broken.pth")


class Payload:
    """What a malicious checkpoint does: calls something when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (self.file,)  # type: ignore[return-value]


def test_a_checkpoint_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"_conv_stem.weight": Payload(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        EfficientNetLite0.from_checkpoint(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_it_equals_the_reference_package(tmp_path: Path) -> None:
    reference = pytest.importorskip("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0").eval()
    state = random_checkpoint()
    assert {name: tuple(value.shape) for name, value in reference.state_dict().items()} == {
        name: tuple(value.shape) for name, value in state.items()
    }
    reference.load_state_dict(state)
    torch.save(reference.state_dict(), tmp_path / "reference.pth")
    net = EfficientNetLite0.from_checkpoint(tmp_path / "reference.pth")
    pixels = torch.randint(0, 256, (1, 3, 224, 224)).float()
    with torch.no_grad():
        grid = reference.extract_features((pixels - 127) / 128)
        torch.testing.assert_close(net(pixels), grid, rtol=1e-3, atol=1e-3)
        logits = reference((pixels - 127) / 128)
        torch.testing.assert_close(net.classify(net(pixels).mean((2, 3))), logits, rtol=1e-3, atol=2e-2)
