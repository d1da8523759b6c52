"""One benchmark a file: from its published layout to items. Here are all of them by name."""

from __future__ import annotations

from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.adapters.sugarcrepe_pp import SUGARCREPE_PP
from vljepa_edge.evaluation.benchmark import Benchmark

BENCHMARKS: dict[str, Benchmark] = {one.name: one for one in (SUGARCREPE_PP,)}


def benchmark_of(name: str) -> Benchmark:
    """The benchmark of this name. Raises InputError, naming all."""
    if name not in BENCHMARKS:
        raise InputError(f"a benchmark must be one of {', '.join(BENCHMARKS)}, got {name!r}")
    return BENCHMARKS[name]
