"""How many programs an SM holds: by hand, and as NVIDIA's own calculator counts them."""

from __future__ import annotations

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest

from vljepa_edge.kernels.tools.aot import ARCHS
from vljepa_edge.kernels.tools.occupancy import LIMITS, most_shared, programs_per_sm


@pytest.mark.parametrize(
    ("arch", "registers", "shared", "warps", "programs"),
    [
        (87, 32, 0, 4, 12),  # 48 warps of an SM
        (80, 32, 0, 4, 16),  # 64 warps; 16 * 4 * 32 * 32 registers are just all of them
        (86, 16, 0, 1, 16),  # programs, before 48 warps
        (89, 16, 0, 1, 24),
        (110, 16, 0, 1, 24),
        (120, 16, 0, 1, 24),
        (100, 16, 0, 1, 32),
        (87, 164, 24576, 4, 3),  # 164 * 32 is 5248, so 5376 a warp and 3 warps a quarter
        (80, 168, 24576, 4, 3),
        (90, 203, 0, 4, 2),  # 6656 a warp, 2 a quarter
        (80, 255, 0, 8, 1),  # 8192 a warp: 8 warps have them all
        (80, 129, 0, 16, 0),  # 4352 a warp: 16 warps would need 69,632
        (80, 255, 0, 9, 0),  # 9 warps count as 12
        (86, 32, 60000, 4, 1),  # 60,000 and 1024 are 61,056 with the granule, of 102,400
        (80, 32, 40960, 4, 4),  # 41,984 of 167,936 is exactly a quarter
        (80, 32, 40961, 4, 3),  # a byte more, and it isn't
        (90, 32, 227 * 1024, 4, 1),
        (90, 32, 227 * 1024 + 1, 4, 0),
        (120, 32, 99 * 1024, 4, 1),
        (120, 32, 100 * 1024, 4, 0),
    ],
)
def test_programs_are_limited_by_each_resource(
    arch: int, registers: int, shared: int, warps: int, programs: int
) -> None:
    assert programs_per_sm(arch, registers, shared, warps) == programs


def test_programs_share_512_columns_of_tensor_memory() -> None:
    assert [programs_per_sm(100, 64, 0, 4, columns) for columns in (0, 32, 128, 256, 512)] == [8, 8, 4, 2, 1]


CALCULATOR = r"""
#include <climits>
#include <cstddef>
#include <cstdio>
#include "cuda_occupancy.h"
int main() {
  int arch, threads, registers, warps, result;
  size_t shared, of_sm;
  while (std::scanf("%d %d %zu %d %zu %d", &arch, &threads, &of_sm, &registers, &shared, &warps) == 6) {
    cudaOccDeviceProp device;
    device.computeMajor = arch / 10;
    device.computeMinor = arch % 10;
    device.maxThreadsPerBlock = 1024;
    device.maxThreadsPerMultiprocessor = threads;
    device.regsPerBlock = device.regsPerMultiprocessor = 65536;
    device.warpSize = 32;
    device.sharedMemPerBlock = 49152;
    device.sharedMemPerMultiprocessor = of_sm;
    device.sharedMemPerBlockOptin = of_sm - 1024;
    device.reservedSharedMemPerBlock = 1024;
    device.numSms = 1;
    cudaOccFuncAttributes kernel;
    kernel.maxThreadsPerBlock = INT_MAX;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = 0;
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
    kernel.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN;
    kernel.maxDynamicSharedSizeBytes = of_sm - 1024;
    kernel.numBlockBarriers = 1;
    cudaOccDeviceState state;
    cudaOccResult found;
    result = cudaOccMaxActiveBlocksPerMultiprocessor(&found, &device, &kernel, &state, 32 * warps, shared);
    std::printf("%d\n", result == CUDA_OCC_SUCCESS ? found.activeBlocksPerMultiprocessor : -result);
  }
}
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_nvidias_calculator_counts_the_same(tmp_path: Path) -> None:
    """cuda_occupancy.h comes with Triton; it knows programs and granules by itself and is told warps and memory."""
    triton = pytest.importorskip("triton")
    include = Path(triton.__file__).parent / "backends" / "nvidia" / "include"
    (tmp_path / "calculator.cpp").write_text(CALCULATOR)
    build = ["c++", "-w", f"-I{include}", str(tmp_path / "calculator.cpp"), "-o", str(tmp_path / "calculator")]
    subprocess.run(build, check=True)
    cases = [
        (arch, registers, shared, warps)
        for arch in ARCHS
        for registers, shared, warps in itertools.product(
            (16, 24, 33, 64, 104, 128, 168, 203, 255),
            (0, 1, 1023, 8192, 24576, 49151, 65584, 98304),
            (1, 2, 3, 4, 8, 16),
        )
        if shared <= most_shared(arch)
    ]
    lines = [f"{a} {LIMITS[a].warps * 32} {LIMITS[a].shared} {r} {s} {w}" for a, r, s, w in cases]
    done = subprocess.run([tmp_path / "calculator"], input="\n".join(lines), capture_output=True, text=True, check=True)
    counted = list(map(int, done.stdout.split()))
    assert len(counted) == len(cases) > 3000
    assert [(case, n) for case, n in zip(cases, counted, strict=True) if programs_per_sm(*case) != n] == []
