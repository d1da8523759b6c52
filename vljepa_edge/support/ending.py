"""How threads and native objects end with their process: at exit, and in a forked child.

At exit Python stops daemon threads wherever they are, and one that is inside a C++ or Rust library then aborts the
process. So before that, workers are told to stop and are waited for, and native code is closed to other threads.

A forked child has only the thread that forked. Locks that other threads held stay locked in it, and destructors that
wait for those threads never return. So what belongs to the parent is neither used nor destroyed in a child.
"""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

from vljepa_edge.errors import ProcessError

_WORKERS_END = 1.0  # seconds, for all workers together; one that waits in Python does no harm
_NATIVE_ENDS = 30.0  # seconds; a graph of a large model on a slow machine
_PAUSE = 0.001  # seconds

_leak: Callable[[object], None] = ctypes.pythonapi.Py_IncRef
_leak.argtypes, _leak.restype = [ctypes.py_object], None  # type: ignore[attr-defined]


class Worker(threading.Thread):
    """A daemon thread that is told to stop, and waited for, when the process exits.

    `stop` must make `target` return soon. It must not wait.
    """

    def __init__(self, target: Callable[..., object], *args: object, name: str, stop: Callable[[], object]) -> None:
        super().__init__(target=target, args=args, name=name, daemon=True)
        self.stop = stop

    def start(self) -> None:
        """Start the thread. Raises RuntimeError when no more threads can be had."""
        _workers.add(self)
        super().start()

    def abandon(self) -> None:
        """Don't wait for this thread when the process exits: it hangs."""
        _workers.discard(self)

    def run(self) -> None:
        """Call the target, then let go of it and of `stop`."""
        try:
            super().run()
        finally:
            self.stop = _nothing


class _Native:
    """`with native:` around calls of native code. Any number of threads may be inside, and may enter again.

    After close() only the thread that closed it may enter. Raises ProcessError.
    """

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}  # thread -> how often it has entered
        self._closed_by: int | None = None

    def __enter__(self) -> None:
        me = threading.get_ident()
        self._inside[me] = self._inside.get(me, 0) + 1  # first: close() sets _closed_by, then looks at _inside
        if self._closed_by not in (None, me) and self._inside[me] == 1:
            del self._inside[me]
            raise ProcessError("the interpreter is shutting down; end threads that use a model before the program ends")

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        times = self._inside.pop(me, 1) - 1
        if times:
            self._inside[me] = times

    def close(self) -> None:
        """Keep other threads out, and wait for those inside."""
        self._closed_by = threading.get_ident()
        _wait(lambda: not self._inside.keys() - {self._closed_by}, _NATIVE_ENDS)

    def forget(self) -> None:
        """Nobody is inside: the other threads are not in this process."""
        self._inside.clear()


native = _Native()
_workers: weakref.WeakSet[Worker] = weakref.WeakSet()
_kept: weakref.WeakSet[Any] = weakref.WeakSet()


def keep_in_child(item: object) -> None:
    """Never destroy `item`, or what it refers to, in a child that this process forks."""
    _kept.add(item)


def require_process(pid: int, what: str, cure: str) -> None:
    """Raise ProcessError unless this is still the process `pid`, in which `what` was made."""
    if os.getpid() != pid:
        here = os.getpid()
        raise ProcessError(f"{what} belongs to process {pid} and can't be used in its forked child {here}; {cure}")


def when_dropped(owner: object, release: Callable[[], object]) -> weakref.finalize[..., Any]:
    """Call `release` when nobody holds `owner` any more, but not at exit and not in a forked child."""
    finalizer = weakref.finalize(owner, _in_process, os.getpid(), release)
    finalizer.atexit = False
    return finalizer


def _nothing() -> None:
    """What is left to stop of a worker that has ended."""


def _in_process(pid: int, release: Callable[[], object]) -> None:
    if os.getpid() == pid:
        release()


def _wait(done: Callable[[], bool], seconds: float) -> None:
    """Wait until `done`, but no longer. A Ctrl-C that comes meanwhile is not needed: the process is ending."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if done():
                return
            time.sleep(_PAUSE)
        except BaseException:  # of a signal handler
            continue


def _at_exit() -> None:
    working = [worker for worker in _workers if worker.is_alive()]
    for worker in working:
        worker.stop()
    _wait(lambda: not any(worker.is_alive() for worker in working), _WORKERS_END)
    native.close()


def _in_child() -> None:
    _workers.clear()
    native.forget()
    if not _kept:
        return
    gc.freeze()  # garbage that was not collected yet, such as decoded frames, stays
    for item in _kept:
        _leak(item)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_in_child)
