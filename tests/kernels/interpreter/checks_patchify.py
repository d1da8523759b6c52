"""What patchify must hold to, for any module that claims to be it."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """A batch of clips. stride: every how manieth frame of a longer clip, so that frames don't lie side by side."""

    shape: tuple[int, int, int, int]
    tubelet: int = 2
    patch: int = 16
    dtype: torch.dtype = torch.float32
    stride: int = 1


CASES = (
    Case((1, 2, 16, 16)),
    Case((2, 4, 32, 48), dtype=torch.float16, stride=2),
    Case((1, 3, 10, 15), tubelet=1, patch=5, dtype=torch.bfloat16),
)
QUICK = (CASES[1], CASES[2])


def check(module: ModuleType, case: Case) -> None:
    """Against float64 patches cut out by slicing; frames between those that are read must not matter."""
    batch, length, height, width = case.shape
    generator = torch.Generator().manual_seed(length)
    shape = (batch, length * case.stride, height, width, 3)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)[:, :: case.stride]
    mean, std = torch.tensor([123.7, 116.3, 103.5]), torch.tensor([58.4, 57.1, 57.4])
    found = module._patches(frames, mean, std, case.tubelet, case.patch, case.dtype)
    exact = module.reference(frames, mean, std, case.tubelet, case.patch)
    own = module.torch_form(frames, mean, std, case.tubelet, case.patch, case.dtype)
    assert_accurate(found, exact, own, "patches")
