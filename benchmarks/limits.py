"""The machine's limits: matrix products and memory, measured in the same run as the stages that they bound.

Matrix products go through OpenVINO (oneDNN), a chain of four so that converting the ends costs little, and through
PyTorch where it is installed; the better one counts. Memory is a copy of an array far larger than any cache, read and
written bytes counted, as in STREAM. Both report the best of several tries: a limit, not a habit.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.flops import Cost
from benchmarks.interleave import Clock
from vljepa_edge.support.quiet_openvino import openvino as ov
from vljepa_edge.support.quiet_openvino import shared_core

ops = ov.opset13
SIZE = 1024
TRIES = 5
COPIED_BYTES = 1 << 28
_CHAIN = 4
_BYTES = {"f32": 4, "bf16": 2, "f16": 2, "int8": 1}


@dataclass(frozen=True)
class Limits:
    """Operations a second by (precision, threads), bytes a second by threads."""

    products: dict[tuple[str, int], float]
    memory: dict[int, float]

    def compute_s(self, cost: Cost, precision: str, threads: int = 1) -> float:
        """Seconds for the operations at the peak of matrix products, those in INT8 at the peak of INT8."""
        rest = (cost.flops - cost.int8_flops) / self.products[precision, threads]
        return rest + cost.int8_flops / self.products["int8", threads]

    def read_s(self, cost: Cost, precision: str, threads: int = 1) -> float:
        """Seconds to read the weights once from memory."""
        rest = (cost.weights - cost.int8_weights) * _BYTES[precision]
        return (rest + cost.int8_weights * _BYTES["int8"]) / self.memory[threads]


def measure_limits(clock: Clock, threads: tuple[int, ...], *, is_cpu_clock: bool = False) -> Limits:
    """The limits for each number of threads. A clock of processor time counts every thread; that is divided out."""
    products: dict[tuple[str, int], float] = {}
    memory: dict[int, float] = {}
    capabilities = shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    kinds = ["f32", "int8"] + (["bf16"] if "BF16" in capabilities else [])
    for count in threads:
        share = count if is_cpu_clock else 1
        for kind in kinds:
            rate = 2 * SIZE**3 * _CHAIN * share / _best(_openvino(kind, SIZE, count), clock)
            if (run := _torch(kind, SIZE, count)) is not None:
                rate = max(rate, 2 * SIZE**3 * share / _best(run, clock))
            products[kind, count] = rate
        memory[count] = 2 * COPIED_BYTES * share / _best(_copy(count), clock)
    _torch("f32", 8, 1)  # leaves PyTorch at one thread
    return Limits(products, memory)


def _best(run: Callable[[], object], clock: Clock) -> float:
    run()
    seconds = []
    for _ in range(TRIES):
        start = clock()
        run()
        seconds.append(clock() - start)
    return min(seconds)


def _openvino(kind: str, n: int, threads: int) -> Callable[[], object]:
    draw = np.random.default_rng(0)
    x = given = ops.parameter([n, n], np.float32)
    for _ in range(_CHAIN):
        if kind == "int8":
            low, high = np.float32(-1.28), np.float32(1.27)
            x = ops.fake_quantize(x, low, high, low, high, 256)
            levels = ops.constant(draw.integers(-127, 128, (n, n)).astype(np.int8))
            weight = ops.multiply(ops.convert(levels, "f32"), ops.constant(np.float32(1 / (127 * n))))
        else:
            weight = ops.constant(draw.standard_normal((n, n), np.float32) / n)
        x = ops.matmul(x, weight, False, False)
    config: dict[str, Any] = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": "1",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if kind == "bf16" else "f32",
    }
    request = shared_core().compile_model(ov.Model([x], [given]), "CPU", config).create_infer_request()
    request.set_input_tensor(0, ov.Tensor(draw.standard_normal((n, n), np.float32), shared_memory=True))
    return request.infer


def _torch(kind: str, n: int, threads: int) -> Callable[[], object] | None:
    if kind == "int8":
        return None
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if kind == "bf16" else torch.float32
    a, b, out = (torch.randn(n, n).to(dtype) for _ in range(3))
    return lambda: torch.mm(a, b, out=out)


def _copy(threads: int) -> Callable[[], object]:
    source = np.ones(COPIED_BYTES // 4, np.float32)
    target = np.zeros_like(source)
    parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(lambda part: np.copyto(*part), parts))  # NumPy copies without the GIL
