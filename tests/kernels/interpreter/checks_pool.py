"""What the masked mean and the predictor's tail must hold to, for any module that claims to be them."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F

from tests.kernels.interpreter.bounds import assert_accurate


@dataclass(frozen=True)
class Case:
    """A batch of padded sequences; embedding 0: the mean alone."""

    tokens: int
    lengths: tuple[int, ...] | None
    width: int = 48
    dtype: torch.dtype = torch.float16
    embedding: int = 0
    gap: int = 0


CASES = (
    Case(1, None, 5, torch.float32),
    Case(70, (0, 63, 64, 65, 70), gap=8),
    Case(130, (129, 1), 300, torch.bfloat16),
    Case(64, None, 1024, torch.float16),
    Case(70, (70, 33), 40, torch.float32, embedding=50),
    Case(129, (65,), 2048, torch.float16, embedding=17),
    Case(66, None, 130, torch.bfloat16, embedding=20, gap=6),
)
QUICK = (CASES[1], CASES[4], CASES[6])


def check(module: ModuleType, case: Case) -> None:
    """Against float64; padding is NaN. Called twice, it gives the same bits."""
    counts = case.lengths or (case.tokens,) * 2
    generator = torch.Generator().manual_seed(case.tokens)
    whole = torch.full((len(counts), case.tokens, case.width + case.gap), torch.nan, dtype=case.dtype)
    tokens = whole[:, :, : case.width]
    for sequence, count in zip(tokens, counts, strict=True):
        sequence[:count] = (torch.randn((count, case.width), generator=generator) + 0.5).to(case.dtype)
    lengths = None if case.lengths is None else torch.tensor(case.lengths, dtype=torch.int32)
    if case.embedding:
        check_tail(module, case, tokens, lengths, counts, generator)
        return
    leaf = tokens.detach().requires_grad_()
    mean = module._mean(leaf, lengths)
    own = torch.stack([s[:n].mean(0) if n else s.new_zeros(case.width) for s, n in zip(tokens, counts, strict=True)])
    assert_accurate(mean, module.reference(tokens, lengths), own, "mean")
    assert torch.equal(mean, module._mean(tokens, lengths))
    dmean = torch.randn(mean.shape, generator=generator).to(case.dtype)
    (found,) = torch.autograd.grad(mean, leaf, dmean)
    for gradient, row, count in zip(found, dmean, counts, strict=True):
        expected = (row.double() / max(count, 1)).expand(count, -1)
        assert_accurate(gradient[:count], expected, expected.to(case.dtype), "dtokens")
        assert torch.equal(gradient[count:], torch.zeros_like(gradient[count:]))


def check_tail(
    module: ModuleType,
    case: Case,
    tokens: torch.Tensor,
    lengths: torch.Tensor | None,
    counts: tuple[int, ...],
    generator: torch.Generator,
) -> None:
    """The tail against float64, no worse than the same steps of PyTorch in fp32."""
    norm = (torch.rand(case.width, generator=generator) + 0.5).to(case.dtype)
    weight = torch.randn((case.embedding, case.width), generator=generator).to(case.dtype)
    bias = torch.randn(case.embedding, generator=generator).to(case.dtype)
    for given in (bias, None):
        found = module._tail(tokens, norm, 1e-5, weight, given, lengths)
        exact = module.tail_reference(tokens, norm, 1e-5, weight, given, lengths)
        normed = [
            F.rms_norm(s[:n].float(), (case.width,), norm.float(), 1e-5) for s, n in zip(tokens, counts, strict=True)
        ]
        means = torch.stack([rows.mean(0) for rows in normed])
        own = F.normalize(F.linear(means, weight.float(), None if given is None else given.float()), dim=-1)
        assert_accurate(found, exact, own, "embedding", factor=4.0)
        assert torch.equal(found, module._tail(tokens, norm, 1e-5, weight, given, lengths))
