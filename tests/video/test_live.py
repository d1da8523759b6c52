"""Live sources: the latest frame wins, nothing upstream waits, threads end. RTSP against a real server on loopback."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.media import flat, number_of, write_video
from tests.video.rtsp_server import RtspServer
from tests.video.threads import video_threads
from vljepa_edge.errors import FrameError, VideoError
from vljepa_edge.video import live, open_source
from vljepa_edge.video.decoder import Decoder
from vljepa_edge.video.frame import SourceStats

pytestmark = pytest.mark.alone


def camera_at(rate: float, count: int) -> Iterator[tuple[NDArray[np.uint8], float]]:
    """A camera that gives `count` frames at `rate`."""
    begun = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        yield flat(number), number / rate


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


class TestLatestWins:
    def test_a_slow_consumer_gets_the_latest_and_never_holds_up_the_camera(self) -> None:
        all_given = threading.Event()

        def frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
            yield from ((flat(number), number / 100) for number in range(60))
            all_given.set()

        with open_source(frames(), live=True) as source:
            assert all_given.wait(5)  # though nobody has taken one
            assert [number_of(frame.image) for frame in source] == [59]
        assert source.stats.dropped == 59
        assert source.stats.frames_decoded == 60

    def test_a_fast_consumer_gets_all(self) -> None:
        taken = threading.Semaphore(1)

        def frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
            for number in range(20):
                taken.acquire()
                yield flat(number), number / 100

        numbers = []
        with open_source(frames(), live=True) as source:
            for frame in source:
                numbers.append(number_of(frame.image))
                taken.release()
        assert numbers == list(range(20))
        assert source.stats.dropped == 0

    def test_a_file_opened_live_plays_in_real_time(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.mp4", 11, fps=20)
        begun = time.monotonic()
        with open_source(path, live=True, fps=10.0) as source:
            assert source.live
            numbers = [number_of(frame.image) for frame in source]
        assert set(numbers) <= {0, 2, 4, 6, 8, 10}
        assert numbers[-1] == 10
        assert 0.45 < time.monotonic() - begun < 5

    def test_one_who_was_interrupted_while_waiting_goes_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with open_source(camera_at(50, 200), live=True) as source:
            seen = next(source).time
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(threading.Condition, "wait", interrupted)
                list(source)
            assert next(source).time > seen

    def test_errors_reach_the_consumer(self) -> None:
        bad: list[tuple[object, float]] = [(flat(0), 0.0), (flat(1) / 255, 0.1)]
        with open_source(bad, live=True) as source, pytest.raises(FrameError, match="frame 1"):
            list(source)
        with open_source([], live=True) as source, pytest.raises(VideoError, match="no frames in it"):
            next(source)


class TestThreadsEnd:
    def test_closing_ends_the_wait_for_a_frame_that_does_not_come(self) -> None:
        hang = Hang()
        source = open_source(hang, live=True)
        waiting = threading.Thread(target=list, args=(source,))
        with hang.ended():
            waiting.start()
            time.sleep(0.2)
            source.close()
            waiting.join(5)
            assert not waiting.is_alive()
        for thread in video_threads():
            thread.join()

    def test_close_in_the_middle(self, tmp_path: Path) -> None:
        for _ in range(3):
            source = open_source(write_video(tmp_path / "v.mp4", 100), live=True)
            next(source)
            assert len(video_threads()) == 1
            begun = time.monotonic()
            source.close()
            assert video_threads() == []
            assert time.monotonic() - begun < 2
            assert list(source) == []

    def test_a_source_that_nobody_holds(self, tmp_path: Path) -> None:
        source = open_source(write_video(tmp_path / "v.mp4", 100), live=True)
        next(source)
        del source
        gc.collect()
        assert video_threads() == []

    def test_interrupted(self) -> None:
        with pytest.raises(KeyboardInterrupt), open_source(camera_at(50, 500), live=True) as source:
            for _ in source:
                raise KeyboardInterrupt

    def test_an_interpreter_that_ends_in_the_middle(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "v.mp4", 100)
        code = (
            "import sys; from vljepa_edge.video import open_source\n"
            "source = open_source(sys.argv[1], live=True); next(source); print('seen')"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=20)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "seen\n", "")


class Broken:
    """A container that gives its first 5 packets and then what `after` does."""

    def __init__(self, container: Any, after: Iterable[av.Packet]) -> None:
        self._container, self._after = container, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def demux(self, stream: Any) -> Iterator[av.Packet]:
        yield from itertools.islice(self._container.demux(stream), 5)
        yield from self._after


def break_cameras(monkeypatch: pytest.MonkeyPatch, folder: Path, after: Iterable[av.Packet]) -> None:
    """Puts a file in the place of every camera: 5 frames, then what `after` does."""
    path = str(write_video(folder / "camera.avi", codec="mjpeg", pix_fmt="yuvj420p"))

    def camera(device: str, stats: SourceStats, timeout: float) -> live.Connect:
        def connect() -> Decoder:
            decoder = Decoder(device, path, stats, options={}, live=True, timeout=timeout)
            decoder._container = Broken(decoder._container, after)  # type: ignore[assignment]
            return decoder

        return connect

    monkeypatch.setattr(live, "camera", camera)


def reset() -> Iterator[av.Packet]:
    raise av.error.ConnectionResetError(104, "Connection reset by peer")
    yield


class Noise:
    """Packets that hold no frame, for ever."""

    def __iter__(self) -> Iterator[av.Packet]:
        while True:
            time.sleep(0.01)
            yield av.Packet(b"noise")


class Hang:
    """A read that does not return before the block `ended()` is left."""

    def __init__(self) -> None:
        self._over = threading.Event()

    def __iter__(self) -> Iterator[Any]:
        self._over.wait()
        yield from ()

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._over.set()


class TestCamera:
    """No camera here: a file stands in for what FFmpeg's v4l2 would open."""

    def test_a_connection_that_is_reset_is_a_video_error_when_read_frame_by_frame(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        break_cameras(monkeypatch, tmp_path, reset())
        with open_source("camera:0", live=False) as source:
            assert [number_of(next(source).image) for _ in range(5)] == [0, 1, 2, 3, 4]
            with pytest.raises(VideoError, match="camera:0: Connection reset by peer"):
                next(source)

    def test_a_camera_whose_driver_hangs_is_given_up(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        break_cameras(monkeypatch, tmp_path, hang := Hang())
        begun = time.monotonic()
        with open_source("camera:0", timeout=2.0, retry_for=0.3) as source, hang.ended():
            with pytest.raises(VideoError, match=r"camera:0: no frame came for 3\.3 s"):
                for _ in source:
                    pass
            assert 3.3 <= time.monotonic() - begun < 5, "the error must not wait for the read that hangs"
            source.close()
            assert source.hangs
        for thread in video_threads():
            thread.join()
        assert not source.hangs

    def test_packets_without_a_frame_in_them_are_no_sign_of_life(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        break_cameras(monkeypatch, tmp_path, Noise())
        with open_source("camera:0", timeout=0.2) as source:
            while source.stats.reconnects < 2:
                next(source)
        message = r"camera:0: no frame in what came for 0\.2 s"
        with open_source("camera:0", timeout=0.2, live=False) as source, pytest.raises(VideoError, match=message):
            list(source)

    def test_frames_without_stamps_take_the_monotonic_clock_and_an_unplugged_camera_comes_back(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = str(write_video(tmp_path / "camera.h264"))  # a bare stream has no stamps
        opened: list[str] = []
        camera = live.camera

        def plugged(device: str, stats: SourceStats, timeout: float) -> object:
            camera(device, stats, timeout)  # the name is valid

            def connect() -> Decoder:
                opened.append(device)
                if len(opened) > 2:
                    raise VideoError(device, "no such camera")
                return Decoder(device, path, stats, options={}, live=True)

            return connect

        monkeypatch.setattr(live, "camera", plugged)
        before = time.monotonic()
        with open_source("camera:0", retry_for=0.6) as source:
            times = []
            with pytest.raises(VideoError, match=r"camera:0: lost, .* within 0.6 s \(no such camera\)"):
                for frame in source:
                    times.append(frame.time)
        assert 0 <= times[0] < 0.1
        assert times == sorted(times)
        assert times[-1] < time.monotonic() - before
        assert source.stats.reconnects == 1
        assert source.stats.frames_decoded == 20
        assert source.stats.dropped + source.stats.frames_yielded + source.stats.bad_timestamps >= 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    pytest.importorskip("aio_rtsp_toolkit")
    # Frame n shows n; key frames often, so that a stream can be picked up anywhere.
    write_video(tmp_path / "v.mp4", 200, fps=20, options={"g": "5", "tune": "zerolatency"})
    write_video(tmp_path / "short.mp4", 10, fps=20, options={"g": "5", "tune": "zerolatency"})
    write_video(tmp_path / "sound.mp4", 10, fps=20, options={"g": "5", "tune": "zerolatency"}, audio=30.0)
    running = RtspServer(tmp_path)
    running.start()
    yield running
    running.kill()


class TestRtsp:
    def test_plays_dies_comes_back_and_is_given_up(self, server: RtspServer) -> None:
        with open_source(server.url("v.mp4"), timeout=2.0, retry_for=2.0, size=(32, 32)) as source:
            assert source.live
            first = [next(source) for _ in range(10)]
            numbers = [number_of(frame.image) for frame in first]
            times = [frame.time for frame in first]
            assert numbers == sorted(set(numbers))
            assert 0 <= times[0] < 1.5  # frames that came while connecting can be dropped for newer ones
            assert np.allclose(np.diff(times), np.diff(numbers) / 20, atol=0.002)

            server.kill()
            killed = time.monotonic()
            server.start()
            while source.stats.reconnects == 0:
                frame = next(source)
                assert frame.time > times[-1]
                times.append(frame.time)
            times += [next(source).time for _ in range(5)]
            assert source.stats.reconnects == 1
            assert times == sorted(set(times))
            # The outage is in the times: they go on as on the clock.
            away = max(np.diff(times))
            assert 0.1 < away < time.monotonic() - killed + 0.2

            server.kill()
            killed = time.monotonic()
            with pytest.raises(VideoError, match="lost, and did not come back within 2 s"):
                for _ in source:
                    pass
            assert time.monotonic() - killed < 4.5
            assert source.stats.reconnects == 1

    def test_closing_while_the_server_is_silent(self, server: RtspServer) -> None:
        source = open_source(server.url("v.mp4"), timeout=1.0)
        next(source)
        assert server.process is not None
        server.process.send_signal(19)  # stopped, not dead: the connection stays open and nothing comes
        time.sleep(0.2)
        begun = time.monotonic()
        source.close()
        assert time.monotonic() - begun < 2.5
        assert video_threads() == []

    def test_read_frame_by_frame_to_its_end_when_not_live(self, server: RtspServer) -> None:
        with open_source(server.url("short.mp4"), live=False, timeout=2.0) as source:
            assert not source.live
            numbers = [number_of(frame.image) for frame in source]
        assert numbers == list(range(10))

    def test_pictures_that_stop_are_missed_though_the_sound_goes_on(self, server: RtspServer) -> None:
        with open_source(server.url("sound.mp4"), timeout=1.0, retry_for=5.0) as source:
            while source.stats.reconnects < 2:
                next(source)

    def test_a_scheme_in_capitals(self, server: RtspServer) -> None:
        with open_source(server.url("short.mp4").replace("rtsp", "RTSP"), timeout=2.0) as source:
            next(source)

    def test_a_stream_that_is_not_there(self, server: RtspServer) -> None:
        with pytest.raises(VideoError, match=r"can't be connected to.*404"):
            open_source(server.url("nothing.mp4"), timeout=2.0)


class TestConnecting:
    """Against a server of a few lines, that accepts and then says what it is told to, or nothing."""

    @pytest.fixture
    def says(self) -> Iterator[Callable[[bytes], str]]:
        with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as kept:

            def serve(answer: bytes) -> None:
                with contextlib.suppress(OSError):
                    while True:
                        client = kept.enter_context(listener.accept()[0])
                        while answer and b"CSeq" in (asked := client.recv(4096)):
                            number = asked.split(b"CSeq: ")[1].split(b"\r\n")[0]
                            client.sendall(b"RTSP/1.0 " + answer + b"\r\nCSeq: " + number + b"\r\n\r\n")

            def start(answer: bytes) -> str:
                threading.Thread(target=serve, args=(answer,), daemon=True).start()
                return f"rtsp://127.0.0.1:{listener.getsockname()[1]}/x"

            yield start
        for thread in video_threads():  # what was interrupted notices that its server is gone
            thread.join(5)

    @pytest.mark.parametrize("live", [True, False])
    def test_ctrl_c_is_heard_at_once_while_a_server_is_silent(self, says: Callable[[bytes], str], live: bool) -> None:
        url, begun = says(b""), time.monotonic()
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            while True:
                with contextlib.suppress(VideoError):
                    open_source(url, timeout=20.0, live=live)
        assert time.monotonic() - begun < 5

    def test_no_answer_says_how_long_was_waited(self, says: Callable[[bytes], str]) -> None:
        with pytest.raises(VideoError, match=r"can't be connected to: no answer within 0\.4 s$"):
            open_source(says(b""), timeout=0.4)

    def test_a_refusal_says_which_and_after_how_long(self, says: Callable[[bytes], str]) -> None:
        with pytest.raises(VideoError, match=r"can't be connected to: .*401 Unauthorized.*, after \d\.\d\d s$"):
            open_source(says(b"401 Unauthorized"), timeout=5.0)
