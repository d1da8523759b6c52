"""MJPEG, HLS and files by HTTP against a real server on loopback, which fails in the ways that cameras fail."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import av
import pytest

from tests.media import flat, number_of, write_video
from tests.video.web_server import WebServer, jpeg, part
from vljepa_edge.errors import VideoError
from vljepa_edge.video import http as web
from vljepa_edge.video import open_source
from vljepa_edge.video.frame import Frame
from vljepa_edge.video.inputs import is_live
from vljepa_edge.video.source import Source

pytestmark = pytest.mark.alone

RATE = 20.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    found = WebServer(tmp_path)
    yield found
    found.close()


def camera(server: WebServer, parts: list[bytes], *, stays: bool = False) -> None:
    """Serve parts at RATE at /camera; then hang up, or stay connected and say nothing."""

    def answer() -> Iterator[bytes]:
        for data in parts:
            yield data
            time.sleep(1 / RATE)
        if stays:
            server.closing.wait(30)

    server.answers["camera"] = answer


def read(url: str) -> tuple[list[Frame], Source]:
    """Every frame, until the camera hangs up."""
    frames = []
    with open_source(url, live=False) as source, suppress(VideoError):
        for frame in source:
            frames.append(frame)
    return frames, source


def write_hls(folder: Path, count: int, *, ends: bool) -> None:
    """A playlist with segments of a second each, 10 frames a second."""
    folder.mkdir()
    options = {"hls_time": "1", "hls_list_size": "0"} | ({} if ends else {"hls_flags": "omit_endlist"})
    with av.open(str(folder / "index.m3u8"), "w", format="hls", options=options) as container:
        stream = container.add_stream("mpeg2video", rate=25)
        image = flat(0)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = image.shape[1], image.shape[0], "yuv420p", 5
        for i in range(count):
            for packet in stream.encode(av.VideoFrame.from_ndarray(flat(i))):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def test_a_camera_gives_its_pictures_at_the_time_of_their_arrival(server: WebServer) -> None:
    camera(server, [part(jpeg(number)) for number in range(30)])
    assert is_live(server.url("camera"))
    frames = read(server.url("camera"))[0]
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers == sorted(numbers) and len(set(numbers)) >= 20
    assert all(later.time > before.time for before, later in itertools.pairwise(frames))
    with open_source(server.url("camera"), timeout=10, retry_for=0.2) as live:
        assert live.live
        assert next(live).image.shape == frames[0].image.shape


def test_a_picture_that_is_cut_off_is_counted_and_the_others_come(server: WebServer) -> None:
    whole = [jpeg(number) for number in range(12)]
    cut = whole[6][: len(whole[6]) // 3]
    camera(server, [part(data) for data in (*whole[:6], cut, *whole[7:])])
    frames, source = read(server.url("camera"))
    numbers = [number_of(frame.image) for frame in frames]
    assert numbers[-1] == 11
    assert source.stats.corrupt > 0


def test_a_camera_that_stops_sending_is_given_up_in_time(server: WebServer) -> None:
    camera(server, [part(jpeg(number)) for number in range(20)], stays=True)
    begun = time.monotonic()
    with (
        open_source(server.url("camera"), timeout=0.5, retry_for=0.4) as source,
        pytest.raises(VideoError, match=r"camera: lost, and did not come back within 0\.4 s"),
    ):
        server.answers["camera"] = lambda: iter(())
        list(source)
    assert time.monotonic() - begun < 20


def test_a_camera_that_hangs_up_is_connected_to_again(server: WebServer) -> None:
    camera(server, [part(jpeg(number)) for number in range(10)])
    with open_source(server.url("camera"), timeout=10, retry_for=10) as source:
        last = -1.0
        for frame in source:
            assert frame.time > last
            last = frame.time
            if source.stats.reconnects >= 1:
                break
    assert server.asked.count("camera") >= 2


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ((404, "text/html", b"<p>nothing here</p>"), "404 Not Found"),
        ((401, "text/html", b"who are you"), "401 Unauthorized"),
        ((500, "text/html", b"broken"), "Server returned 5XX"),
        ((200, "text/html", b"<html><body>" + b"<p>A page.</p>" * 200), "what it sends is neither video nor a picture"),
        ((200, "video/mp4", b""), "can't be connected to"),
    ],
)
def test_what_is_no_video_is_said(page: tuple[int, str, bytes], said: str, server: WebServer) -> None:
    server.pages["page"] = page
    with pytest.raises(VideoError, match=said) as caught:
        open_source(server.url("page", before="me:secret@"), timeout=5)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_given_up(server: WebServer) -> None:
    server.answers["camera"] = lambda: iter([b""] if server.closing.wait(30) else [])
    begun = time.monotonic()
    with pytest.raises(VideoError, match=r"no answer within 0\.5 s"):
        open_source(server.url("camera"), timeout=0.5)
    assert time.monotonic() - begun < 10


def test_a_photo_is_one_frame(server: WebServer) -> None:
    server.pages["photo.jpg"] = (200, "image/jpeg", jpeg(7))
    with open_source(server.url("photo.jpg")) as source:
        assert [number_of(frame.image) for frame in source] == [7]
    assert not source.live


def test_a_file_is_that_file(server: WebServer, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", 20)
    with open_source(tmp_path / "clip.mp4") as source:
        expected = [(frame.time, number_of(frame.image)) for frame in source]
    with open_source(server.url("clip.mp4")) as source:
        found = [(frame.time, number_of(frame.image)) for frame in source]
    assert found == expected and len(found) == 20
    assert not source.live


def test_a_playlist_that_ends_is_a_recording(server: WebServer, tmp_path: Path) -> None:
    write_hls(tmp_path / "hls", 60, ends=True)
    with open_source(server.url("hls/index.m3u8")) as source:
        found = [number_of(frame.image) for frame in source]
    assert found == list(range(60)) and not source.live
    assert any(name.endswith(".ts") for name in server.asked)


def test_a_live_playlist_gives_frames_when_they_are_due(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_hls(tmp_path / "hls", 75, ends=False)
    monkeypatch.setattr(web, "SEGMENT", 2.0)
    frames = []
    with open_source(server.url("hls/index.m3u8"), timeout=1.0, retry_for=0.1) as source:
        assert source.live
        begun = time.monotonic()
        for frame in source:
            frames.append((frame.time, time.monotonic() - begun))
            if frame.time > 1.5:
                break
    assert len(frames) >= 10, "a burst leaves the newest alone"
    assert frames[-1][1] > 1.0, "they are not given before they are due"


def test_a_playlist_can_not_name_files_of_this_machine(server: WebServer, tmp_path: Path) -> None:
    write_video(tmp_path / "private.ts", 20)
    listed = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{tmp_path}/private.ts\n#EXT-X-ENDLIST\n"
    server.pages["index.m3u8"] = (200, "application/vnd.apple.mpegurl", listed.encode())
    with pytest.raises(VideoError):
        list(open_source(server.url("index.m3u8"), timeout=2, retry_for=0.1))


@pytest.mark.parametrize("url", ["http://", "https:/x", "http://host:99999/"])
def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(VideoError, match=r"not a valid URL; it must be http://"):
        open_source(url)
