"""GradCache (arXiv 2101.06983): the exact gradient of a loss over a batch that only fits the device in chunks.

A contrastive loss is no sum over chunks: every row is a negative of every other. So embeddings are made chunk by chunk
without a graph; the loss over all of them gives dL/dz; then each chunk is embedded again, with the same dropout, and
dL/dz goes backward through it. The price is a second forward pass. This is also what makes the accumulation of
gradients exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from vljepa_edge.errors import InputError
from vljepa_edge.training.parallel import gradient_sync, running_statistics

Chunk = TypeVar("Chunk")
Embeddings = TypeVar("Embeddings", bound=NamedTuple)


def grad_cache_step(model: nn.Module, loss: Callable[[Embeddings], Tensor], chunks: Sequence[Chunk]) -> Tensor:
    """Add the gradient of `loss` over all chunks to the parameters' gradients; returns the loss, detached.

    model: as `wrap` made it, from a chunk to a named tuple. Its tensors of two axes or more are rows, joined over the
    chunks; those of fewer are the model's own, such as the temperature, the same for every chunk; None stays None.
    What the loss takes from the model must come out of it there: it is called once, outside of the model, on all ranks
    with their chunks, and may gather. One chunk is a plain step. All ranks must have the same number of chunks.

    Batch norms see a chunk at a time, and count it once. Raises InputError without a chunk.
    """
    if not chunks:
        raise InputError("a step needs one chunk at least")
    if len(chunks) == 1:
        with gradient_sync(model, True):
            value = loss(model(chunks[0]))
            value.backward()  # type: ignore[no-untyped-call]
        return value.detach()
    embedded, random_states = [], []
    with torch.no_grad():
        for chunk in chunks:
            random_states.append(_RandomState())
            embedded.append(model(chunk))
    leaves = [_leaf(parts) for parts in zip(*embedded, strict=True)]
    value = loss(embedded[0]._make(leaves))
    value.backward()  # type: ignore[no-untyped-call]
    gradients = [_split(leaf, parts) for leaf, parts in zip(leaves, zip(*embedded, strict=True), strict=True)]
    with _kept(list(running_statistics(model))):
        for i, (chunk, state) in enumerate(zip(chunks, random_states, strict=True)):
            with gradient_sync(model, i == len(chunks) - 1):
                with state.again():
                    outputs = model(chunk)
                _backward(outputs, [of_chunks[i] for of_chunks in gradients])
    return value.detach()


def _leaf(parts: tuple[Tensor | None, ...]) -> Tensor | None:
    """Rows of all chunks, or what is the same for all, where the loss's gradient ends."""
    first = parts[0]
    if first is None:
        return None
    joined = torch.cat([part for part in parts if part is not None]) if first.ndim > 1 else first.clone()
    return joined.requires_grad_(joined.is_floating_point())


def _split(leaf: Tensor | None, parts: tuple[Tensor | None, ...]) -> Sequence[Tensor | None]:
    """dL/dz by chunk. Of what is the same for all the last has it, and the others nothing."""
    if leaf is None or leaf.grad is None:
        return [None] * len(parts)
    if leaf.ndim > 1:
        return list(torch.functional.split(leaf.grad, [len(part) for part in parts if part is not None]))
    return [None] * (len(parts) - 1) + [leaf.grad]


def _backward(outputs: Sequence[Tensor | None], gradients: Sequence[Tensor | None]) -> None:
    pairs = [
        (output, gradient)
        for output, gradient in zip(outputs, gradients, strict=True)
        if output is not None and gradient is not None and output.requires_grad
    ]
    if pairs:
        torch.autograd.backward([output for output, _ in pairs], [gradient for _, gradient in pairs])


class _RandomState:
    """Of the CPU and of the GPU in use, as they are now."""

    def __init__(self) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    @contextmanager
    def again(self) -> Iterator[None]:
        """Draws inside are those that followed; draws after it go on where they were."""
        devices: list[Any] = [] if self._cuda is None else [torch.cuda.current_device()]
        with torch.random.fork_rng(devices):
            torch.set_rng_state(self._cpu)
            if self._cuda is not None:
                torch.cuda.set_rng_state(self._cuda)
            yield


@contextmanager
def _kept(tensors: Sequence[Tensor]) -> Iterator[None]:
    before = [tensor.clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)
