"""The builder on TensorRT for RTX, which has the same API and the same kind of compiler and needs no GPU.

Evidence for int8 is the source of kernels inside the plan, where pointers to int8 occur in quantised builds and never
in others. That is no documented format: a test that counts them needs a control.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

from tests.engines.conftest import forget_parts, import_parts
from tests.engines.fake_cuda import FakeCuda
from vljepa_edge.export.tensorrt.profiles import Shapes

_INT8 = re.compile(rb"__myln_(?:vtype<__myln_)?int8(?:,[0-9]+,[0-9]+>)?\s*\*")


@contextmanager
def rtx_builder() -> Iterator[ModuleType]:
    """The builder's module on tensorrt_rtx in place of tensorrt; without it, the test is skipped."""
    reason = "TensorRT for RTX has no wheel for this platform"
    rtx = pytest.importorskip("tensorrt_rtx", reason=reason, exc_type=ImportError)
    with pytest.MonkeyPatch.context() as patch:
        yield import_parts(patch, rtx, FakeCuda())[1]
        forget_parts()


def plan(build: ModuleType, model: bytes, shapes: Shapes, architecture: str) -> bytes:
    """Build as `build_engines` does, for an architecture instead of the GPU at hand."""
    network = build.parse(build.prepare(model, "graph").model, "graph")
    config = build.configure(network, shapes, 1 << 30)
    config.num_compute_capabilities = 1
    config.set_compute_capability(getattr(build.trt.ComputeCapability, architecture), 0)
    made: bytes = build.serialize(network, config, lambda what, step, steps: None)
    return made


def int8_pointers(made: bytes) -> int:
    return len(_INT8.findall(made))
