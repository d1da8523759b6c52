"""Arrays in the format of .npy, from bytes that nobody vouches for: no pickle, and no more memory than is there."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LONGEST_HEADER = 4096


def parse_npy(data: bytes) -> NDArray[Any]:
    """What np.save wrote in version 1.0 and C order: a read-only view of `data`. Raises ValueError for anything else,
    and what NumPy raises for a damaged header, which is not said anywhere."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version != (1, 0):
        raise ValueError(f"it has version {version} of .npy, not (1, 0)")
    shape, in_columns, dtype = np.lib.format.read_array_header_1_0(stream, max_header_size=_LONGEST_HEADER)
    if in_columns or dtype.hasobject or len(data) - stream.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{dtype} {list(shape)} is not what it holds, {len(data) - stream.tell()} bytes")
    return np.frombuffer(data, dtype, offset=stream.tell()).reshape(shape)
