"""A stand-in for cuda.bindings.runtime: "device" memory is on the host, and queued work runs when the stream is waited
for.

Work that is recorded instead of queued runs at each launch, on the addresses that it was recorded with, as in a CUDA
graph. `fail` makes a call return an error, `calls` counts them all, `live` is what was allocated and not freed.
"""

from __future__ import annotations

import ctypes
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType, SimpleNamespace
from typing import Any

Work = Callable[[], None]


class Status(IntEnum):
    """cudaError_t, as far as it is used here."""

    SUCCESS = 0
    OUT_OF_MEMORY = 2
    INSUFFICIENT_DRIVER = 35
    CAPTURE_INVALIDATED = 901


class FakeCuda(ModuleType):
    """`cuda.bindings.runtime`."""

    def __init__(self, name: str = "Fake Orin", major: int = 8, minor: int = 7) -> None:
        super().__init__("cuda.bindings.runtime")
        self.calls: Counter[str] = Counter()
        self.fail: dict[str, Status] = {}
        self.live: dict[int, Any] = {}
        self.queued: list[Work] = []
        self.recorded: list[Work] | None = None
        self.capture_broken = False
        self.driver, self.runtime = 12060, 12060
        self.device = SimpleNamespace(name=name.encode() + b"\0\0", major=major, minor=minor, multiProcessorCount=16)
        self.cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
        self.cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)
        answers: dict[str, Callable[..., Any]] = {
            "cudaGetDeviceProperties": lambda device: self.device,
            "cudaDriverGetVersion": lambda: self.driver,
            "cudaRuntimeGetVersion": lambda: self.runtime,
            "cudaMalloc": self._allocate,
            "cudaFree": self._free,
            "cudaHostAlloc": lambda size, flags: self._allocate(size),
            "cudaFreeHost": self._free,
            "cudaStreamCreateWithFlags": lambda flags: self._allocate(1),
            "cudaStreamDestroy": self._free,
            "cudaStreamSynchronize": self._wait,
            "cudaMemcpyAsync": self._copy,
            "cudaStreamBeginCapture": self._begin,
            "cudaStreamEndCapture": self._end,
            "cudaGraphInstantiate": lambda graph, flags: self._hold(graph),
            "cudaGraphDestroy": lambda graph: None,
            "cudaGraphLaunch": lambda executable, stream: self.queued.extend(self.live[executable]),
            "cudaGraphExecDestroy": self._free,
            "cudaGetLastError": lambda: None,
        }
        for name, answer in answers.items():
            setattr(self, name, self._reporting(name, answer))

    def cudaGetErrorString(self, status: Status) -> tuple[Status, bytes]:
        return Status.SUCCESS, status.name.lower().replace("_", " ").encode()

    def add(self, work: Work) -> None:
        """What a kernel launch does."""
        (self.queued if self.recorded is None else self.recorded).append(work)

    def _reporting(self, name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> tuple[Any, ...]:
            self.calls[name] += 1
            if name in self.fail:
                return (self.fail[name], None)
            if name == "cudaStreamEndCapture" and (self.capture_broken or self.recorded is None):
                self.recorded, self.capture_broken = None, False
                return (Status.CAPTURE_INVALIDATED, None)
            return (Status.SUCCESS, answer(*arguments))

        return call

    def _allocate(self, size: int) -> int:
        assert size > 0
        block = (ctypes.c_uint8 * size)()
        return self._hold(block, ctypes.addressof(block))

    def _hold(self, thing: Any, handle: int | None = None) -> int:
        handle = id(thing) if handle is None else handle
        self.live[handle] = thing
        return handle

    def _free(self, handle: int) -> None:
        del self.live[handle]

    def _copy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        assert stream in self.live
        self.add(lambda: ctypes.memmove(target, source, size) and None)

    def _wait(self, stream: int) -> None:
        assert stream in self.live and self.recorded is None
        work, self.queued = self.queued, []
        for step in work:
            step()

    def _begin(self, stream: int, mode: int) -> None:
        assert not self.queued, "recording begins while work is queued"
        self.recorded = []

    def _end(self, stream: int) -> list[Work]:
        work, self.recorded = self.recorded, None
        assert work is not None
        return work
