"""The PyTorch forms, the choice between them and the kernels, and errors, without a GPU."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import vljepa_edge.kernels.ops.bidirectional_attention as attention
import vljepa_edge.kernels.ops.info_nce as nce
import vljepa_edge.kernels.ops.int8_linear as int8
import vljepa_edge.kernels.ops.masked_mean_pool as pool
from tests.kernels import test_gpu_tier as gpu_tier
from vljepa_edge.errors import InputError, KernelError, VLJepaError
from vljepa_edge.kernels import launch, tiles
from vljepa_edge.kernels.ops import patchify, rms_norm, swiglu


@pytest.fixture
def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def random(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=rng, dtype=torch.float64)


# --- the same numbers as float64 references ---


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("lengths", [None, (0, 1, 9)])
@pytest.mark.parametrize("rope", [False, True])
def test_attention_is_its_reference(
    rng: torch.Generator, grad: bool, lengths: tuple[int, ...] | None, rope: bool
) -> None:
    qkv = random(rng, 3, 9, 8, 6).requires_grad_(grad)
    angle = random(rng, 12, 6)
    tables = (angle.cos(), angle.sin()) if rope else (None, None)
    counts = None if lengths is None else torch.tensor(lengths, dtype=torch.int32)
    out = attention.bidirectional_attention(qkv, 4, *tables, counts, scale=0.7)
    torch.testing.assert_close(out, attention.reference(qkv, 4, *tables, counts, 0.7)[0], atol=1e-6, rtol=0)


def test_padding_of_attention_may_hold_anything(rng: torch.Generator) -> None:
    qkv = random(rng, 2, 5, 4, 8)
    lengths = torch.tensor([3, 5], dtype=torch.int32)
    clean = attention.bidirectional_attention(qkv, 2, lengths=lengths)
    qkv[0, 3:] = math.nan
    assert torch.equal(attention.bidirectional_attention(qkv, 2, lengths=lengths), clean)


def test_norm_gate_pool_tail_and_patches_are_their_references(rng: torch.Generator) -> None:
    x, weight = random(rng, 3, 5, 12).float(), random(rng, 12).float()
    added, normed = rms_norm.add_rms_norm(x, x.flip(0), weight, 1e-5)
    expected = rms_norm.reference(x, weight, 1e-5, x.flip(0))
    torch.testing.assert_close((added.double(), normed.double()), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(swiglu.swiglu(x).double(), swiglu.reference(x), atol=1e-6, rtol=1e-6)
    lengths = torch.tensor([0, 2, 5], dtype=torch.int32)
    mean = pool.masked_mean_pool(x, lengths)
    torch.testing.assert_close(mean.double(), pool.reference(x, lengths), atol=1e-6, rtol=0)
    projection, bias = random(rng, 7, 12).float(), random(rng, 7).float()
    tail = pool.embedding_tail(x[1:], weight, 1e-5, projection, bias, lengths[1:])
    exact = pool.tail_reference(x[1:], weight, 1e-5, projection, bias, lengths[1:])
    torch.testing.assert_close(tail.double(), exact, atol=1e-6, rtol=0)
    frames = torch.randint(0, 256, (2, 4, 8, 12, 3), dtype=torch.uint8, generator=rng)
    statistics = torch.tensor([120.0, 110.0, 100.0]), torch.tensor([60.0, 50.0, 40.0])
    patches = patchify.patchify(frames, *statistics, 2, 4, torch.float32)
    torch.testing.assert_close(patches.double(), patchify.reference(frames, *statistics, 2, 4), atol=1e-6, rtol=0)


@pytest.mark.parametrize("gated", [False, True])
def test_int8_linear_is_its_reference_and_near_the_float_layer(rng: torch.Generator, gated: bool) -> None:
    x, weight, bias = random(rng, 2, 9, 2500).float(), random(rng, 14, 2500).float() / 50, random(rng, 14).float()
    quantised, scale = int8.quantise_weight(weight)
    found = int8.int8_linear(x, quantised, scale, bias, swiglu=gated)
    exact = int8.reference(x, quantised, scale, bias, None, gated)
    torch.testing.assert_close(found.double(), exact, atol=1e-5, rtol=1e-5)
    full = F.linear(x, weight, bias)
    full = swiglu.torch_form(full) if gated else full
    assert float(F.cosine_similarity(found.flatten(), full.flatten(), dim=0)) > 0.999


# --- InfoNCE in blocks ---


class Divisions(TorchDispatchMode):
    """What is divided by, in all divisions of tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.by: list[object] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.div.Tensor:
            self.by.append(args[1])
        return func(*args, **(kwargs or {}))


def test_scales_are_divided_by_tensors(rng: torch.Generator) -> None:
    """By a plain number PyTorch multiplies by its reciprocal on a GPU, where the kernel divides."""
    weight, x = random(rng, 6, 8), random(rng, 3, 8)
    with Divisions() as made:
        quantised, scale = int8.quantise_weight(weight)
        int8.torch_form(x, quantised, scale, None, None, False)
        int8.reference(x, quantised, scale)
    assert len(made.by) == 6 and all(isinstance(by, Tensor) for by in made.by)


def test_what_is_to_run_on_a_gpu_runs_here_in_small(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    # In fp32, as only the kernel of the tail is so exact in fp16.
    small = {"DEVICE": "cpu", "HALF": torch.float32, "TOKENS": 70, "LENGTHS": (70, 37), "ROWS": 64}
    sizes = {"HIDDEN": 64, "FFN": 96, "EMBEDDING": 48, "HEADS": 4, "KV_HEADS": 2}
    for name, value in {**small, **sizes}.items():
        monkeypatch.setattr(gpu_tier, name, value)
    gpu_tier.test_attention_at_full_size(64, torch.float16)
    gpu_tier.test_gradients_of_attention_at_full_size(64)
    gpu_tier.test_rms_norm_at_full_size()
    gpu_tier.test_swiglu_at_full_size()
    gpu_tier.test_the_tail_at_full_size()
    gpu_tier.test_int8_linear_at_full_size(gated=True)
    gpu_tier.test_patchify_at_full_size()
    gpu_tier.test_gradients_of_the_loss()


def unit(rng: torch.Generator, rows: int, width: int) -> Tensor:
    return F.normalize(random(rng, rows, width), dim=-1)


def test_blockwise_loss_and_gradients_are_the_dense_ones(rng: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    hard = unit(rng, 42, 8).reshape(21, 2, 8)
    leaves = [unit(rng, 21, 8), unit(rng, 21, 8), torch.tensor(9.0, dtype=torch.float64), hard]
    keys, also = torch.randint(7, (21,), generator=rng), torch.randint(7, (21, 2), generator=rng)
    mask = torch.rand((21, 2), generator=rng) < 0.5

    def run() -> tuple[Tensor, ...]:
        given = [t.clone().requires_grad_() for t in leaves]
        loss = nce.info_nce(*given[:3], keys, also, given[3], mask)
        return loss.detach(), *torch.autograd.grad(loss, given)

    dense = run()
    monkeypatch.setattr(nce, "BLOCK", 8)
    for found, expected in zip(run(), dense, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-12, rtol=1e-9)


def test_the_reference_is_the_loss(rng: torch.Generator) -> None:
    a, b, hard = unit(rng, 6, 5), unit(rng, 6, 5), unit(rng, 12, 5).reshape(6, 2, 5)
    keys, also = torch.tensor([3, 1, 3, 8, 9, 8]), torch.tensor([[3], [9], [1], [8], [9], [3]])
    found = nce.info_nce(a, b, torch.tensor(7.0, dtype=torch.float64), keys, also, hard)
    torch.testing.assert_close(found, nce.reference(a, b, 7.0, keys, also, hard))


def test_ranks_with_gathered_rows_average_to_the_whole(rng: torch.Generator) -> None:
    """Three ranks of four rows: the mean of their losses, and the sum of their gradients, are the whole batch's."""
    a, b, scale = unit(rng, 12, 6), unit(rng, 12, 6), torch.tensor(5.0, dtype=torch.float64)
    keys, also = torch.randint(9, (12,), generator=rng), torch.randint(9, (12, 2), generator=rng)
    whole = [t.clone().requires_grad_() for t in (a, b, scale)]
    loss = nce.info_nce(*whole, keys, also)
    expected = torch.autograd.grad(loss, whole)
    leaves = [t.clone().requires_grad_() for t in (a, b, scale)]
    parts = []
    for first in range(0, 12, 4):
        own = slice(first, first + 4)
        parts.append(
            nce.info_nce(
                leaves[0][own], leaves[1][own], leaves[2], keys[own], also[own], all_predicted=leaves[0],
                all_target=leaves[1], all_keys=keys, all_also=also, offset=first,
            )
        )  # fmt: skip
    total = torch.stack(parts).mean()
    torch.testing.assert_close(total, loss)
    for found, right in zip(torch.autograd.grad(total, leaves), expected, strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.slow
def test_blockwise_at_4096_by_1536_never_holds_the_matrix() -> None:
    """Gradients within 1e-5 of the dense form's, and no tensor larger than the inputs or a block is made."""
    from torch.utils._python_dispatch import TorchDispatchMode

    rng = torch.Generator().manual_seed(1)
    rows, width = 4096, 1536
    leaves = [F.normalize(torch.randn((rows, width), generator=rng), dim=-1) for _ in range(2)]
    leaves = [t.requires_grad_() for t in (*leaves, torch.tensor(14.0))]
    largest = 0

    class Largest(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            made = func(*args, **(kwargs or {}))
            for tensor in made if isinstance(made, tuple | list) else (made,):
                if isinstance(tensor, Tensor):
                    largest = max(largest, tensor.untyped_storage().nbytes() // 4)
            return made

    with Largest():
        found = torch.autograd.grad(nce.info_nce(*leaves), leaves)
    assert largest <= rows * width < rows * rows
    dense = torch.autograd.grad(nce._dense(*leaves, None, None, None, None), leaves)
    for mine, right in zip(found, dense, strict=True):
        assert float((mine - right).norm() / right.norm()) <= 1e-5


# --- who takes the kernel ---


def test_tensors_on_a_cpu_take_pytorch() -> None:
    assert not launch.takes_kernel(torch.ones(1))


def test_the_variable_turns_kernels_off_and_refuses_other_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnGpu:
        is_cuda = True
        device = torch.device("cuda", 0)

    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 7))
    monkeypatch.setattr(launch, "HAS_TRITON", True)
    assert launch.takes_kernel(OnGpu())  # type: ignore[arg-type]
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    assert not launch.takes_kernel(OnGpu())  # type: ignore[arg-type]
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not launch.takes_kernel(OnGpu())  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 7))
    monkeypatch.setenv("VLJEPA_KERNELS", "off")
    assert not launch.takes_kernel(OnGpu())  # type: ignore[arg-type]
    monkeypatch.setenv("VLJEPA_KERNELS", "no")
    with pytest.raises(InputError, match="'auto' or 'off'"):
        launch.takes_kernel(torch.ones(1))


def test_everything_imports_and_runs_without_triton() -> None:
    code = """
import sys
sys.modules["triton"] = None
import torch
from vljepa_edge.errors import KernelError
from vljepa_edge.kernels.ops import bidirectional_attention, info_nce, int8_linear, masked_mean_pool, patchify, swiglu
from vljepa_edge.kernels.tools import aot
assert swiglu.swiglu(torch.ones(2, 4)).shape == (2, 2)
assert bidirectional_attention.bidirectional_attention(torch.ones(1, 2, 3, 4), 1).shape == (1, 2, 1, 4)
for attempt in (aot.require_compiler, lambda: swiglu.launch_swiglu(torch.ones(2, 4))):
    try:
        attempt()
    except KernelError as error:
        assert "pip install" in str(error)
    else:
        raise AssertionError("no error")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_compilers_see_the_operators() -> None:
    """Shapes and types through the fake implementations, without running anything."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        qkv = torch.empty((2, 7, 8, 64), dtype=torch.float16)
        out, lse = attention._attention(qkv, None, None, None, 4, 0.125, True)
        assert (out.shape, out.dtype, lse.shape, lse.dtype) == ((2, 7, 4, 64), torch.float16, (2, 4, 7), torch.float32)
        assert swiglu._gated(torch.empty((3, 10))).shape == (3, 5)
        assert pool._tail(torch.empty((2, 3, 8)), torch.empty(8), 1e-5, torch.empty((5, 8)), None, None).shape == (2, 5)
        assert nce._lse(torch.empty((3, 8)), torch.empty((4, 8)), torch.empty(()), None, None, 0).shape == (3,)
        weight, scale = torch.empty((6, 8), dtype=torch.int8), torch.empty(6)
        assert int8._linear(torch.empty((2, 8)), weight, scale, None, None, True).shape == (2, 3)


# --- padding, tiles, errors ---


def test_padding_must_be_at_the_end() -> None:
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [0, 0, 0]])
    assert attention.padding_lengths(mask).tolist() == [2, 3, 0]
    assert attention.padding_lengths(mask).dtype == torch.int32
    with pytest.raises(RuntimeError, match="at the end"):
        attention.padding_lengths(torch.tensor([[0, 1, 1]]))


def test_an_architecture_takes_the_newest_tiles_that_are_not_newer() -> None:
    name = tiles.key("attention_forward", 64, 16)
    assert tiles.shipped(name, 87) == tiles.shipped(name, 80) != tiles.shipped(name, 90)
    assert tiles.shipped(name, 103) == tiles.shipped(name, 100)
    for arch, line in ((75, name), (87, "nothing")):
        with pytest.raises(KernelError, match="no tiles"):
            tiles.shipped(line, arch)


def test_every_line_of_the_table_has_a_reason() -> None:
    assert [name for name, lines in tiles.TABLE.items() if not all(line.why for line in lines.values())] == []


def test_errors_name_the_allowed_shapes(rng: torch.Generator) -> None:
    x, keys = random(rng, 2, 3, 4, 6), torch.arange(4)
    wrong = (
        (lambda: attention.bidirectional_attention(x, 3), "multiple of kv_heads"),
        (lambda: attention.bidirectional_attention(x, 2, x[0, :, 0]), "together"),
        (lambda: attention.bidirectional_attention(x, 2, x[0, :2, 0], x[0, :2, 0]), "3 or more, 6"),
        (lambda: attention.bidirectional_attention(x, 2, lengths=torch.tensor([1, 2])), "int32"),
        (lambda: attention.bidirectional_attention(x, 2, scale=0.0), "positive"),
        (lambda: swiglu.swiglu(x[..., :5]), "2 \\* width"),
        (lambda: pool.masked_mean_pool(x), "B, N, width"),
        (lambda: pool.masked_mean_pool(x[0], torch.tensor([1, 2])), "int32"),
        (lambda: pool.embedding_tail(x[0], x[0, 0, 0], 1e-5, x[0, 0, :, :5], None), "E, 6"),
        (lambda: int8.int8_linear(x, x[0, 0], x[0, 0, 0]), "int8"),
        (lambda: nce.info_nce(x[0, 0], x[0, 0, :2], torch.tensor(1.0)), "alike"),
        (lambda: nce.info_nce(x[0, 0], x[0, 0], torch.tensor(1.0), all_target=x[0, 0]), "together"),
        (lambda: nce.info_nce(x[0, 0], x[0, 0], torch.tensor(1.0), torch.ones(4)), r"keys must be int64 \(4,\)"),
        (lambda: nce.info_nce(x[0, 0], x[0, 0], torch.tensor(1.0), keys, keys), r"also must be int64 \(4, R\)"),
        (lambda: nce.info_nce(x[0, 0], x[0, 0], torch.tensor(1.0), also=keys[:, None]), "without keys"),
        (
            lambda: nce.info_nce(x[0, 0], x[0, 0], torch.tensor(1.0), keys, all_predicted=x[0, 0], all_target=x[0, 0]),
            "keys and all_keys",
        ),
    )
    for attempt, message in wrong:
        with pytest.raises(InputError, match=message):
            attempt()
    assert issubclass(KernelError, VLJepaError)
