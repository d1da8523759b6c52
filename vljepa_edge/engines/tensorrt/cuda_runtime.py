"""The few calls of the CUDA runtime that the TensorRT engine makes, through NVIDIA's cuda.bindings, results checked.

Everything here gives itself back when the last reference to it goes.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import Any, NamedTuple

import numpy as np
from cuda.bindings import runtime as cudart
from numpy.typing import NDArray

from vljepa_edge.errors import EngineError
from vljepa_edge.support.install import pip_install

_INSUFFICIENT_DRIVER = 35  # cudaErrorInsufficientDriver
_NON_BLOCKING = 1  # cudaStreamNonBlocking: never waits for the legacy default stream


class Gpu(NamedTuple):
    """The device that this process uses: CUDA device 0, which CUDA_VISIBLE_DEVICES chooses."""

    gpu: str
    compute_capability: str  # such as 8.7
    multiprocessors: int  # tells modules of one name apart: every Jetson Orin is called Orin


def gpu() -> Gpu:
    """Raises EngineError where there is no GPU, no driver, or one older than cuda.bindings."""
    properties = _call("cudaGetDeviceProperties", 0)
    name, version = properties.name.decode().rstrip("\0"), f"{properties.major}.{properties.minor}"
    return Gpu(name, version, int(properties.multiProcessorCount))


def driver_version() -> tuple[int, int]:
    """The CUDA version of the driver, such as (12, 6); (0, 0) without a driver. Raises EngineError."""
    return _version(_call("cudaDriverGetVersion"))


def _version(number: int) -> tuple[int, int]:
    """Of 12060, (12, 6)."""
    return number // 1000, number % 1000 // 10


class Memory:
    """`size` bytes on the device."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.address = int(_call("cudaMalloc", max(size, 1)))  # CUDA gives no address for nothing
        weakref.finalize(self, cudart.cudaFree, self.address)


class Buffer:
    """Memory on the device, and as much pinned memory on the host, which the device copies from without a detour."""

    def __init__(self, size: int) -> None:
        self._memory = Memory(size)
        self.device = self._memory.address
        self._pinned = int(_call("cudaHostAlloc", max(size, 1), 0))
        weakref.finalize(self, cudart.cudaFreeHost, self._pinned)
        self._bytes: NDArray[np.uint8] = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self._pinned))

    def view(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """The first bytes of the host side as an array that lives as long as the buffer; no copy."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        array: NDArray[Any] = self._bytes[:size].view(dtype).reshape(shape)
        return array

    def upload(self, size: int, stream: CudaStream) -> None:
        """Queue a copy of the first `size` bytes to the device."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        _call("cudaMemcpyAsync", self.device, self._pinned, size, kind, stream.handle)

    def download(self, size: int, stream: CudaStream) -> None:
        """Queue a copy of the first `size` bytes to the host."""
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _call("cudaMemcpyAsync", self._pinned, self.device, size, kind, stream.handle)


class Recording:
    """Work that was recorded from a stream, to launch as one CUDA graph."""

    def __init__(self, executable: Any) -> None:
        self.executable = executable
        weakref.finalize(self, cudart.cudaGraphExecDestroy, executable)


class CudaStream:
    """An ordered queue of work on the device."""

    def __init__(self) -> None:
        self.handle = _call("cudaStreamCreateWithFlags", _NON_BLOCKING)
        weakref.finalize(self, cudart.cudaStreamDestroy, self.handle)

    def wait(self) -> None:
        """Until everything queued is done. Raises EngineError when some of it failed."""
        _call("cudaStreamSynchronize", self.handle)

    def begin_recording(self) -> None:
        """From now on work is recorded, not run. Other threads may go on using CUDA."""
        _call("cudaStreamBeginCapture", self.handle, cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal)

    def end_recording(self) -> Recording:
        """What was queued since `begin_recording`."""
        graph = _call("cudaStreamEndCapture", self.handle)
        try:
            return Recording(_call("cudaGraphInstantiate", graph, 0))
        finally:
            cudart.cudaGraphDestroy(graph)

    def abandon_recording(self) -> None:
        """Stop recording after an error, so that the stream can be used again."""
        status, graph = cudart.cudaStreamEndCapture(self.handle)
        if int(status) == 0:
            cudart.cudaGraphDestroy(graph)
        cudart.cudaGetLastError()  # or the failure would surface in a later call

    def launch(self, recording: Recording) -> None:
        """Queue recorded work."""
        _call("cudaGraphLaunch", recording.executable, self.handle)


def _call(name: str, *arguments: Any) -> Any:
    """Call the runtime; its first result is a status, the second, if any, the answer."""
    try:
        status, *answer = getattr(cudart, name)(*arguments)
    except RuntimeError as error:  # of bindings before 12.9, where there is no driver
        raise EngineError(f"CUDA: {name} failed: {error}") from error
    if int(status) != 0:
        _, said = cudart.cudaGetErrorString(status)
        remedy = _remedy() if int(status) == _INSUFFICIENT_DRIVER else ""
        raise EngineError(f"CUDA: {name} failed: {said.decode()} ({int(status)}){remedy}")
    return answer[0] if answer else None


def _remedy() -> str:
    """What to install where these bindings hold a runtime that is newer than the driver, which Jetsons don't take.

    From 12.9 on they do; those of 12.8 make every call through the driver, whatever its version.
    """
    try:
        driver, own = driver_version(), _version(_call("cudaRuntimeGetVersion"))
    except EngineError:
        return ""
    if not (0, 0) < driver < own:
        return ""
    fitting = "12.8.0" if driver < (12, 9) else f"{driver[0]}.{driver[1]}.*"
    reason = f"the driver is of CUDA {driver[0]}.{driver[1]}, cuda-bindings of {own[0]}.{own[1]}"
    return f"; {reason}; to fix it, run: {pip_install(f'cuda-bindings=={fitting}')}"
