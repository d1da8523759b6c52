"""Bidirectional InfoNCE (section 3 of the paper) against loops in float64 and against plain cross-entropy."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vljepa_edge.training.losses import info_nce


def unit(rng: np.random.Generator, *shape: int) -> Tensor:
    return F.normalize(torch.from_numpy(rng.normal(size=shape)), dim=-1)


def same_matrix(keys: Tensor, also: Tensor | None) -> Tensor:
    """(B, B), [i, j] true where the text of row j is right for the video of row i."""
    rows = range(len(keys))
    right = [{int(keys[i]), *([] if also is None else also[i].tolist())} for i in rows]
    return torch.tensor([[int(keys[j]) in right[i] for j in rows] for i in rows])


def naive(
    predicted: Tensor, target: Tensor, scale: float, keys: Tensor | None, also: Tensor | None, hard: Tensor | None,
    hard_mask: Tensor | None,
) -> float:  # fmt: skip
    """The definition, one exponential at a time: what is masked is left out of the sums."""
    same = None if keys is None else same_matrix(keys, also)
    n, losses = len(predicted), []
    for i in range(n):
        own = scale * float(predicted[i] @ target[i])
        total = 0.0
        for j in range(n):
            if j == i or same is None or not same[i, j]:
                total += math.exp(scale * float(predicted[i] @ target[j]))
        for k in range(0 if hard is None else hard.shape[1]):
            if hard_mask is None or hard_mask[i, k]:
                total += math.exp(scale * float(predicted[i] @ hard[i, k]))
        losses.append(math.log(total) - own)
    for j in range(n):
        own = scale * float(predicted[j] @ target[j])
        total = sum(
            math.exp(scale * float(predicted[i] @ target[j]))
            for i in range(n)
            if i == j or same is None or not same[i, j]
        )
        losses.append(math.log(total) - own)
    return sum(losses) / (2 * n)


@given(
    seed=st.integers(0, 2**16),
    rows=st.integers(1, 6),
    width=st.integers(2, 9),
    hards=st.integers(0, 4),
    scale=st.floats(0.1, 60.0),
    masked=st.booleans(),
    more=st.integers(0, 3),
)
@settings(max_examples=60)
def test_equals_the_definition(
    seed: int, rows: int, width: int, hards: int, scale: float, masked: bool, more: int
) -> None:
    rng = np.random.default_rng(seed)
    predicted, target = unit(rng, rows, width), unit(rng, rows, width)
    keys = torch.from_numpy(rng.integers(-4, 4, rows)) if masked else None
    also = torch.from_numpy(rng.integers(-4, 4, (rows, more))) if masked and more else None
    hard = unit(rng, rows, hards, width) if hards else None
    hard_mask = torch.from_numpy(rng.random((rows, hards)) < 0.6) if hards and masked else None
    given_loss = info_nce(predicted, target, torch.tensor(scale, dtype=torch.float64), keys, also, hard, hard_mask)
    assert float(given_loss) == pytest.approx(
        naive(predicted, target, scale, keys, also, hard, hard_mask), rel=1e-9, abs=1e-9
    )


def test_without_masks_it_is_the_mean_of_two_cross_entropies() -> None:
    rng = np.random.default_rng(0)
    predicted, target, scale = unit(rng, 5, 8), unit(rng, 5, 8), torch.tensor(14.0)
    scores, own = scale * predicted @ target.T, torch.arange(5)
    expected = 0.5 * (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own))
    torch.testing.assert_close(info_nce(predicted, target, scale), expected)


def test_one_row_alone_has_nothing_to_be_told_from() -> None:
    row = unit(np.random.default_rng(1), 1, 4)
    assert float(info_nce(row, -row, torch.tensor(20.0))) == 0.0


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_equal_rows_cost_the_logarithm_of_the_batch(scale: float) -> None:
    row = unit(np.random.default_rng(2), 1, 4).expand(7, -1)
    assert float(info_nce(row, row, torch.tensor(scale))) == pytest.approx(math.log(7))


def test_all_others_being_the_same_text_costs_nothing() -> None:
    rng = np.random.default_rng(3)
    keys = torch.full((6,), 2**40)
    loss = info_nce(unit(rng, 6, 4), unit(rng, 6, 4), torch.tensor(5.0), keys)
    assert float(loss) == pytest.approx(0.0, abs=1e-9)


def test_a_text_that_is_right_for_a_video_too_costs_in_neither_direction() -> None:
    """Text 1 is right for video 0 as well; text 0 is not for video 1."""
    rng = np.random.default_rng(10)
    a, b, keys = unit(rng, 2, 4), unit(rng, 2, 4), torch.tensor([5, 7])
    scores = 3.0 * a @ b.T
    of_video_1, of_text_0 = scores[1].logsumexp(0) - scores[1, 1], scores[:, 0].logsumexp(0) - scores[0, 0]
    expected = (of_video_1 + of_text_0) / 4  # video 0 and text 1 are left alone with their own
    found = info_nce(a, b, torch.tensor(3.0), keys, torch.tensor([[7], [7]]))
    torch.testing.assert_close(found, expected)


def test_padding_more_keys_with_the_own_one_changes_nothing() -> None:
    rng = np.random.default_rng(11)
    a, b, keys, scale = unit(rng, 6, 4), unit(rng, 6, 4), torch.from_numpy(rng.integers(3, size=6)), torch.tensor(9.0)
    assert torch.equal(info_nce(a, b, scale, keys, keys[:, None].expand(-1, 3)), info_nce(a, b, scale, keys))


def test_it_does_not_matter_which_side_is_called_video() -> None:
    rng = np.random.default_rng(4)
    a, b, keys = unit(rng, 6, 5), unit(rng, 6, 5), torch.tensor([0, 1, 0, 2, 1, 0])
    scale = torch.tensor(9.0)
    torch.testing.assert_close(info_nce(a, b, scale, keys), info_nce(b, a, scale, keys))


def test_the_order_of_the_batch_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    a, b, hard = unit(rng, 6, 5), unit(rng, 6, 5), unit(rng, 6, 2, 5)
    keys, also = (torch.from_numpy(rng.integers(5, size=shape)) for shape in (6, (6, 2)))
    mask = torch.from_numpy(rng.random((6, 2)) < 0.5)
    order, scale = torch.from_numpy(rng.permutation(6)), torch.tensor(9.0)
    shuffled = info_nce(a[order], b[order], scale, keys[order], also[order], hard[order], mask[order])
    torch.testing.assert_close(shuffled, info_nce(a, b, scale, keys, also, hard, mask))


def test_masked_hard_negatives_change_nothing_and_real_ones_cost() -> None:
    rng = np.random.default_rng(6)
    a, b, hard, scale = unit(rng, 4, 5), unit(rng, 4, 5), unit(rng, 4, 3, 5), torch.tensor(9.0)
    plain = info_nce(a, b, scale)
    torch.testing.assert_close(info_nce(a, b, scale, None, None, hard, torch.zeros(4, 3, dtype=torch.bool)), plain)
    assert info_nce(a, b, scale, None, None, hard) > plain


def test_a_step_down_the_gradient_brings_pairs_together_and_negatives_apart() -> None:
    rng = np.random.default_rng(7)
    predicted = unit(rng, 4, 6).requires_grad_()
    target, hard, scale = unit(rng, 4, 6), unit(rng, 4, 2, 6), torch.tensor(5.0)
    loss = info_nce(predicted, target, scale, None, None, hard)
    (gradient,) = torch.autograd.grad(loss, predicted)
    down = -gradient
    assert bool(((down * target).sum(1) > 0).all())  # towards its own text
    stepped = F.normalize(predicted.detach() + 0.1 * down, dim=-1)
    assert float(info_nce(stepped, target, scale, None, None, hard)) < float(loss.detach())


def test_no_gradient_flows_through_what_is_masked() -> None:
    rng = np.random.default_rng(8)
    predicted, target = unit(rng, 2, 6), unit(rng, 2, 6).requires_grad_()
    hard = unit(rng, 2, 1, 6).requires_grad_()
    keys, none = torch.ones(2, dtype=torch.int64), torch.zeros(2, 1, dtype=torch.bool)
    loss = info_nce(predicted, target, torch.tensor(5.0), keys, None, hard, none)
    gradients = torch.autograd.grad(loss, [target, hard])
    assert all(float(gradient.abs().max()) < 1e-12 for gradient in gradients)


@pytest.mark.parametrize("rows", [5, 1500])
def test_a_temperature_of_one_element_is_a_scalar(rows: int) -> None:
    """Which is what FSDP2 can shard. Done densely and in blocks."""
    rng = np.random.default_rng(12)
    a, b = unit(rng, rows, 4), unit(rng, rows, 4)
    outcomes = []
    for shape in ((), (1,)):
        scale = torch.full(shape, 9.0, dtype=torch.float64, requires_grad=True)
        loss = info_nce(a, b, scale)
        outcomes.append((loss.detach(), torch.autograd.grad(loss, scale)[0].sum()))
        assert loss.shape == ()
    assert outcomes[0] == outcomes[1]


def test_half_precision_scores_stay_finite() -> None:
    row = unit(np.random.default_rng(9), 3, 4).bfloat16()
    keys = torch.ones(3, dtype=torch.int64)
    assert bool(torch.isfinite(info_nce(row, row, torch.tensor(100.0), keys)))


PEAK = """
import torch
import torch.nn.functional as F
from vljepa_edge.training.losses import info_nce

rows, width, rng = 8192, 1536, torch.Generator().manual_seed(0)
leaves = [F.normalize(torch.randn((rows, width), generator=rng), dim=-1).requires_grad_() for _ in range(2)]
leaves.append(torch.tensor(14.0, requires_grad=True))
keys, also = torch.randint(rows // 2, (rows,), generator=rng), torch.randint(rows, (rows, 2), generator=rng)
torch.autograd.grad(info_nce(leaves[0][:2048], leaves[1][:2048], leaves[2]), leaves)  # what is set up once

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**20

with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins again, from what is held now
held = peak()
info_nce(*leaves, keys, also).backward()
assert all(float(leaf.grad.norm()) > 0 for leaf in leaves)
print(peak() - held)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel keeps no peak of memory here")
def test_no_matrix_of_the_scores_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """8,192 rows of 1,536, forward and backward with keys; 0.09 GiB of what it takes beyond its inputs are gradients.
    A matrix of the scores would take 0.25 GiB, and its gradient as much. What is taken grows with the rows alone."""
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    taken = float(done.stdout)
    with capsys.disabled():
        print(f"\nInfoNCE at 8,192 x 1,536: {taken:.2f} GiB beyond its inputs")
    assert 0.09 < taken < 0.5e9 / 2**30
