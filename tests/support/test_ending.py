"""Programs and their forked children end with their own exit status, quickly, whatever works in the background."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import write_video
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import InputError, ProcessError
from vljepa_edge.model import Model
from vljepa_edge.streaming.stream import Stream
from vljepa_edge.support.ending import Worker, native

pytestmark = pytest.mark.alone

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PROLOGUE = """
    import os, signal, sys, threading, time
    import numpy as np
    import vljepa_edge

    model = vljepa_edge.load(sys.argv[1], threads=2)
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)

    def work(stream):
        for number in range(40):
            stream.push(image, number / 4)
            time.sleep(0.002)
"""


def run(toy: Path, program: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    """A program of its own after PROLOGUE, on the toy bundle."""
    code = textwrap.dedent(PROLOGUE) + textwrap.dedent(program)
    return subprocess.run([sys.executable, "-c", code, str(toy)], capture_output=True, text=True, timeout=seconds)


ENDS = {
    "it returns": ("", 0, ""),
    "sys.exit": ("sys.exit(7)", 7, ""),
    "sys.exit in a thread": ("threading.Thread(target=sys.exit, args=(3,)).start()", 0, ""),
    "an exception": ("raise RuntimeError('on purpose')", 1, "on purpose"),
    "Ctrl-C": ("os.kill(os.getpid(), signal.SIGINT); time.sleep(5)", -2, "KeyboardInterrupt"),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_whose_live_stream_is_at_work_ends_with_its_own_status(toy: Path, end: str) -> None:
    statement, status, said = ENDS[end]
    done = run(toy, f"stream = model.open_stream(live=True); work(stream); {statement}")
    assert done.returncode == status, done.stderr
    assert said in done.stderr if said else done.stderr == ""


def test_a_daemon_thread_that_uses_a_model_does_not_abort_the_program(toy: Path) -> None:
    done = run(
        toy,
        """
        def use():
            try:
                while True:
                    model.embed_text(["a red square"])
            except vljepa_edge.ProcessError as error:
                print(error, flush=True)

        for _ in range(3):
            threading.Thread(target=use, daemon=True).start()
        time.sleep(0.3)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_a_callback_that_never_returns_does_not_keep_a_program(toy: Path) -> None:
    done = run(
        toy,
        """
        stuck = model.open_stream(live=True, callback=lambda event: time.sleep(1000))
        work(stuck)
        print(time.monotonic(), flush=True)
        """,
    )
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - float(done.stdout) < 10, "seconds; 1 is right on a machine with nothing else to do"


@needs_fork
def test_a_forked_child_is_told_that_model_and_stream_are_the_parents_and_ends(toy: Path, tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", 10)
    done = run(
        toy,
        f"""
        stream = model.open_stream(live=True)
        plain = model.open_stream()
        work(stream)
        events = model.stream({str(film)!r})
        next(events)
        child = os.fork()
        if child == 0:
            calls = [stream.flush, stream.poll, stream.stats, stream.reset, plain.flush, lambda: next(events)]
            calls += [lambda: s.push(image, 99.0) for s in (stream, plain)]
            calls += [lambda: stream.set_query("What?"), lambda: stream.add_query("Why?")]
            calls += [lambda: model.embed_text(["a"]), lambda: model.embed_video(image), model.open_stream]
            for call in calls:
                try:
                    call()
                except vljepa_edge.ProcessError as error:
                    assert str(os.getppid()) in str(error) and str(os.getpid()) in str(error), error
                else:
                    os._exit(99)
            stream.close(); plain.close(); events.close()
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        stream.flush()  # the parent's goes on
        """,
    )
    assert done.stdout == "7\n", done.stderr
    assert done.returncode == 0, done.stderr


@needs_fork
def test_a_forked_child_can_load_a_model_of_its_own(toy: Path) -> None:
    done = run(
        toy,
        """
        child = os.fork()
        if child == 0:
            own = vljepa_edge.load(sys.argv[1], threads=1)
            with own.open_stream(live=True) as stream:
                work(stream)
                stream.flush()
                sys.exit(0 if stream.stats().encoded else 9)
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """,
    )
    assert done.returncode == 0, done.stderr


def test_native_code_is_closed_to_other_threads_once_those_inside_are_out() -> None:
    gate = type(native)()
    inside, leave, order = threading.Event(), threading.Event(), []

    def stay() -> None:
        with gate, gate:
            inside.set()
            leave.wait()
        order.append("out")

    def come_late() -> None:
        with pytest.raises(ProcessError, match="shutting down"), gate:
            order.append("entered")

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait()
    threading.Timer(0.1, leave.set).start()
    with gate:
        gate.close()
    order.append("closed")
    thread.join()
    late = threading.Thread(target=come_late)
    late.start()
    late.join()
    with gate:
        order.append("the closer may")
    assert sorted(order) == ["closed", "out", "the closer may"]


def test_close_races_with_push_poll_and_flush(model: Model) -> None:
    def until_closed(call: Callable[[Stream, int], object], stream: Stream, failures: list[BaseException]) -> None:
        for number in range(10_000):
            try:
                call(stream, number)
            except InputError:
                return
            except BaseException as error:
                failures.append(error)
                return
            if stream._session.closed:
                return

    import numpy as np

    image = np.zeros((32, 32, 3), np.uint8)
    calls: list[Callable[[Stream, int], object]] = [
        lambda stream, number: stream.push(image, number / 4),
        lambda stream, number: stream.poll(),
        lambda stream, number: stream.flush(),
        lambda stream, number: stream.close() if number > 20 else time.sleep(0.001),
        lambda stream, number: stream.close() if number > 20 else time.sleep(0.001),
    ]
    for turn in range(10):
        failures: list[BaseException] = []
        stream = model.open_stream(live=turn % 2 == 0)
        threads = [threading.Thread(target=until_closed, args=(call, stream, failures)) for call in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
        assert failures == []
        stats = stream.stats()
        accounted = ("encoded", "skipped", "repeated", "backwards", "bad_times", "dropped", "stale", "errors")
        assert stats.frames == sum(getattr(stats, name) for name in accounted)


def test_close_waits_for_a_push_of_another_thread(toy: Path) -> None:
    entered, go_on = threading.Event(), threading.Event()

    def before(name: str) -> None:
        if threading.current_thread() is pusher:
            entered.set()
            go_on.wait(10)

    import numpy as np

    engine = WrappedEngine(before)
    pusher = threading.Thread(target=lambda: stream.push(np.zeros((32, 32, 3), np.uint8), 0.0))
    stream = Model(Bundle.open(toy), engine).open_stream()
    pusher.start()
    assert entered.wait(10)
    closer = threading.Thread(target=stream.close)
    closer.start()
    closer.join(0.1)
    assert closer.is_alive()
    go_on.set()
    closer.join(10)
    assert not closer.is_alive() and not engine_is_busy(pusher)


def engine_is_busy(thread: threading.Thread) -> bool:
    """Whether the thread is still in its push."""
    thread.join(1)
    return thread.is_alive()


def test_a_worker_is_a_daemon_thread_and_its_stop_is_kept() -> None:
    stopped = threading.Event()
    worker = Worker(stopped.wait, name="test", stop=stopped.set)
    worker.start()
    assert worker.daemon
    worker.stop()
    worker.join(10)
    assert not worker.is_alive()


def _fail(number: int) -> None:
    raise InputError(f"{number} must be even, got an odd number")


def test_an_error_comes_back_from_a_pool_of_processes() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(InputError, match="3 must be even"):
        pool.apply_async(_fail, (3,)).get(60)


def test_a_model_and_a_stream_say_where_to_load_when_they_are_pickled(model: Model) -> None:
    for item in (model, model.open_stream()):
        with pytest.raises(ProcessError, match="load"):
            pickle.dumps(item)


@pytest.mark.parametrize("module", ["vljepa_edge", "vljepa_edge._core"])
def test_a_sub_interpreter_gets_an_import_error(module: str) -> None:
    program = f"""
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
here = interpreters.create()
run = getattr(interpreters, "exec", None) or interpreters.run_string
try:
    print(run(here, "import {module}"))
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert "can't be imported in a sub-interpreter" in done.stdout, done.stderr
