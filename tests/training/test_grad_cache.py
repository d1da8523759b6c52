"""Chunks with GradCache have the gradient of the whole batch, in float64 and with dropout on."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.training.small_pair import Embeddings, Pair, Rows, cut, loss_of, rows
from vljepa_edge.errors import InputError
from vljepa_edge.training.grad_cache import grad_cache_step


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def with_graph(model: Pair, chunks: list[Rows]) -> Tensor:
    """The loss of all chunks with the graph of all of them, which autograd then goes through at once."""
    parts = [model(chunk) for chunk in chunks]
    predicted, target, keys = (torch.cat([getattr(part, n) for part in parts]) for n in ("predicted", "target", "keys"))
    return loss_of(Embeddings(predicted, target, parts[0].scale, keys))


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-12, rtol=1e-9, msg=lambda m, n=name: f"{n}: {m}")


@given(counts=st.lists(st.integers(1, 4), min_size=1, max_size=4), dropout=st.sampled_from([0.0, 0.4]))
@settings(max_examples=25, deadline=None)
def test_chunks_have_the_gradient_of_the_whole(counts: list[int], dropout: float) -> None:
    found, expected = Pair(dropout), Pair(dropout)
    chunks = cut(rows(sum(counts)), tuple(counts))
    torch.manual_seed(7)
    value = grad_cache_step(found, loss_of, chunks)
    after = torch.rand(1)
    torch.manual_seed(7)
    loss = with_graph(expected, chunks)
    assert torch.equal(torch.rand(1), after)  # randomness goes on as it would have
    loss.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(value, loss.detach())
    assert not value.requires_grad
    assert_alike(gradients(found), gradients(expected))


def test_without_dropout_it_does_not_matter_how_a_batch_is_cut() -> None:
    outcomes = []
    for counts in ((7,), (4, 3), (1,) * 7):
        model = Pair()
        grad_cache_step(model, loss_of, cut(rows(7), counts))
        outcomes.append(gradients(model))
    assert "log_scale" in outcomes[0] and float(outcomes[0]["log_scale"].abs()) > 1e-3
    assert_alike(outcomes[1], outcomes[0])
    assert_alike(outcomes[2], outcomes[0])


def test_a_sum_over_chunks_would_be_another_gradient() -> None:
    """What accumulating the contrastive loss chunk by chunk does: it has fewer negatives."""
    exact, summed = Pair(), Pair()
    chunks = cut(rows(8), (4, 4))
    grad_cache_step(exact, loss_of, chunks)
    for chunk in chunks:
        (loss_of(summed(chunk)) / 2).backward()  # type: ignore[no-untyped-call]
    a, b = gradients(exact)["head.weight"], gradients(summed)["head.weight"]
    assert float((a - b).norm() / a.norm()) > 0.05


def test_a_second_step_adds_its_gradient() -> None:
    twice, first, second = Pair(), Pair(), Pair()
    for model, seeds in ((twice, (0, 1)), (first, (0,)), (second, (1,))):
        for seed in seeds:
            grad_cache_step(model, loss_of, cut(rows(5, seed), (2, 3)))
    sums = {name: gradient + gradients(second)[name] for name, gradient in gradients(first).items()}
    assert_alike(gradients(twice), sums)


class WithMore(Pair):
    """Beside the pair: rows of three axes that learn, a mask, and what the loss doesn't look at."""

    def forward(self, rows: Rows) -> Embeddings:
        found = super().forward(rows)
        more = torch.stack((self.text(rows.text + 1), self.text(rows.text - 1)), 1)
        return found._replace(more=more)


def test_rows_of_more_axes_and_frozen_sides_are_taken_along() -> None:
    def loss(found: Embeddings) -> Tensor:
        assert found.more is not None
        return loss_of(found) + (found.more.sum(1) * found.predicted).square().sum()

    outcomes = []
    for counts in ((6,), (2, 3, 1)):
        model = WithMore()
        model.head.requires_grad_(False)
        grad_cache_step(model, loss, cut(rows(6), counts))
        assert model.head.weight.grad is None and model.query.weight.grad is None
        outcomes.append(gradients(model))
    assert_alike(outcomes[1], outcomes[0])


def test_a_batch_norm_counts_a_chunk_once() -> None:
    class Normed(Pair):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(6).double()

        def forward(self, rows: Rows) -> Embeddings:
            return super().forward(rows._replace(video=self.norm(rows.video)))

    cached, plain = Normed(), Normed()
    chunks = cut(rows(6), (3, 3))
    grad_cache_step(cached, loss_of, chunks)
    for chunk in chunks:
        plain(chunk)
    assert int(cached.norm.num_batches_tracked) == 2
    torch.testing.assert_close(cached.norm.running_var, plain.norm.running_var)


def test_no_graph_of_all_chunks_is_kept() -> None:
    """Of tensors that autograd saves, most at a time: those of one chunk, and of the loss."""
    most = {}
    for name, counts in (("whole", (64,)), ("chunks", (8,) * 8)):
        kept = high = 0

        def pack(tensor: Tensor) -> list[Tensor]:
            nonlocal kept, high
            kept += 1 if tensor.shape[:1] == (64,) else 0
            high = max(high, kept)
            return [tensor]

        model = Pair()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held[0]):
            grad_cache_step(model, lambda found: (found.predicted * found.target).sum(), cut(rows(64), counts))
        most[name] = high
    assert most["chunks"] == 2 < most["whole"]  # the two sides in the loss


def test_no_chunk_is_refused() -> None:
    with pytest.raises(InputError, match="one chunk"):
        grad_cache_step(Pair(), loss_of, [])
