"""How many programs an SM holds at once, by the resources that each of them takes.

Sources, both NVIDIA's and in agreement for all eight architectures: cuda_occupancy.h of CUDA 13.0 (programs, granules,
the check of a program's registers) and `cuda::arch_traits` of CCCL, libcudacxx/include/cuda/__device/arch_traits.h
(warps, programs, shared memory, the kilobyte that the driver takes). The Blackwell Tuning Guide has other figures for
sm_120, 32 programs and 128 kB; those two files have 24 and 100 kB, and so has the table "Technical Specifications per
Compute Capability" of the CUDA C++ Programming Guide. Tensor memory: PTX ISA, "Tensor Memory Addressing".
"""

from __future__ import annotations

from typing import NamedTuple

_KB = 1024
REGISTERS = 64 * _KB
"""Of an SM, in four quarters; and the most of one program, whose warps are counted there in fours."""
RESERVED = _KB
"""Bytes of shared memory that the driver takes for each program."""
TENSOR_COLUMNS = 512
"""Of tensor memory, where there is any (tcgen05: sm_100 and sm_110)."""


class Limits(NamedTuple):
    """Of one SM: resident warps of 32 threads, resident programs, bytes of shared memory of all programs."""

    warps: int
    programs: int
    shared: int


LIMITS = {
    80: Limits(64, 32, 164 * _KB),
    86: Limits(48, 16, 100 * _KB),
    87: Limits(48, 16, 164 * _KB),
    89: Limits(48, 24, 100 * _KB),
    90: Limits(64, 32, 228 * _KB),
    100: Limits(64, 32, 228 * _KB),
    110: Limits(48, 24, 228 * _KB),
    120: Limits(48, 24, 100 * _KB),
}


def most_shared(arch: int) -> int:
    """Bytes of shared memory that one program may ask for."""
    return LIMITS[arch].shared - RESERVED


def programs_per_sm(arch: int, registers: int, shared: int, warps: int, tensor_columns: int = 0) -> int:
    """How many programs of `warps` warps an SM holds, 0 where not even one fits.

    registers: of a thread, given out in 256 a warp, each quarter of the SM for itself. shared: bytes that a program
    asks for, given out in 128. tensor_columns: of tensor memory, a power of two.
    """
    limits = LIMITS[arch]
    of_warp = _up(registers * 32, 256)
    if of_warp * _up(warps, 4) > REGISTERS or shared > most_shared(arch):
        return 0
    by_registers = REGISTERS // 4 // of_warp * 4 // warps
    by_shared = limits.shared // _up(shared + RESERVED, 128)
    by_tensors = TENSOR_COLUMNS // tensor_columns if tensor_columns else limits.programs
    return min(by_registers, by_shared, by_tensors, limits.warps // warps, limits.programs)


def _up(value: int, granule: int) -> int:
    return -(-value // granule) * granule
