"""A machine whose TensorRT and CUDA are stand-ins."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from tests.engines.fake_cuda import FakeCuda
from tests.engines.fake_tensorrt import FakeTensorRt
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle

PARTS = (
    "vljepa_edge.engines.tensorrt.cuda_runtime",
    "vljepa_edge.engines.tensorrt.engine",
    "vljepa_edge.engines.tensorrt.log",
    "vljepa_edge.export.tensorrt.network",
    "vljepa_edge.export.tensorrt.timings",
    "vljepa_edge.export.tensorrt.build",
)


class Machine(NamedTuple):
    """The stand-ins, and the modules that were imported on top of them."""

    cuda: FakeCuda
    trt: FakeTensorRt
    engine: ModuleType
    build: ModuleType


def import_parts(patch: pytest.MonkeyPatch, tensorrt: ModuleType, runtime: ModuleType) -> tuple[ModuleType, ModuleType]:
    """The engine's and the builder's module, fresh, on a given `tensorrt` and `cuda.bindings.runtime`."""
    bindings = ModuleType("cuda.bindings")
    bindings.runtime = runtime  # type: ignore[attr-defined]
    fakes = {"tensorrt": tensorrt, "cuda": ModuleType("cuda"), "cuda.bindings": bindings}
    for name, module in {**fakes, "cuda.bindings.runtime": runtime}.items():
        patch.setitem(sys.modules, name, module)
    forget_parts()
    return importlib.import_module(PARTS[1]), importlib.import_module(PARTS[-1])


def forget_parts() -> None:
    """So that the next test does not find modules with stand-ins inside."""
    for name in PARTS:
        sys.modules.pop(name, None)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VLJEPA_ENGINES", raising=False)
    cuda = FakeCuda()
    trt = FakeTensorRt(cuda)
    yield Machine(cuda, trt, *import_parts(monkeypatch, trt, cuda))
    forget_parts()


@pytest.fixture(scope="session")
def toy_opened(toy: Path) -> Bundle:
    return Bundle.open(toy)


@pytest.fixture(scope="session")
def vjepa_toy(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return Bundle.open(write_toy_bundle(tmp_path_factory.mktemp("toy") / "vjepa", vjepa=True))
