"""Clips cut out of encoded packets: they begin at a keyframe, and each frame is shown when it was in the source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from tests.media import flat, number_of, write_png, write_video
from tests.video.bags import numbered, write_mcap
from tests.video.rtsp_server import RtspServer
from vljepa_edge.errors import VideoError
from vljepa_edge.video import packets
from vljepa_edge.video.packets import Cut, PacketRing
from vljepa_edge.video.source import open_source


def fill(ring: PacketRing, source: object) -> None:
    with open_source(source, ring=ring) as frames:  # type: ignore[arg-type]
        for _ in frames:
            pass


def shown(path: Path) -> list[tuple[float, int]]:
    """What plain PyAV sees in a file: the time of each frame, and its number."""
    with av.open(str(path)) as container:
        first = next(packet for packet in container.demux(video=0))
        assert first.is_keyframe
        container.seek(0)
        return [(float(f.time or 0), number_of(f.to_ndarray(format="rgb24"))) for f in container.decode(video=0)]


def written(cut: Cut | None, folder: Path) -> tuple[Cut, list[tuple[float, int]]]:
    assert cut is not None
    path = folder / f"cut{cut.template.suffix}"
    cut.write(path)
    return cut, shown(path)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("b-frames.mp4", {"options": {"g": "10", "bf": "3", "x264-params": "scenecut=0:open-gop=0"}}),
        ("open-gop.mp4", {"options": {"g": "10", "bf": "3", "x264-params": "scenecut=0:open-gop=1"}}),
        ("b-frames.mkv", {"options": {"g": "10", "bf": "3", "x264-params": "scenecut=0"}}),
        ("no-b.mkv", {"options": {"g": "10", "tune": "zerolatency"}}),
        ("transport.ts", {"options": {"g": "10", "bf": "2", "x264-params": "scenecut=0"}}),
        ("old.mp4", {"codec": "mpeg4", "options": {"g": "10"}}),
        ("uneven.mp4", {"times": [n / 10 + (n % 3) / 50 for n in range(60)], "options": {"g": "10", "bf": "2"}}),
    ],
)
def test_frames_of_a_clip_are_those_of_the_source_at_the_same_times(
    name: str, given: dict[str, Any], tmp_path: Path
) -> None:
    video = write_video(tmp_path / name, 60, fps=10, **given)
    times = given.get("times", [n / 10 for n in range(60)])
    ring = PacketRing(60.0)
    fill(ring, video)
    cut, frames = written(ring.cut(2.5, 4.0), tmp_path)
    assert 0 < cut.start <= 2.55 and cut.end >= 3.95
    assert [number for _, number in frames] == sorted(number for _, number in frames)
    numbers = {number for _, number in frames}
    first, last = min(numbers), max(n for n in range(60) if times[n] <= 4.0)
    assert numbers >= set(range(first, last + 1))
    for time, number in frames:
        assert cut.start + time == pytest.approx(times[number], abs=2e-3)


def test_a_stretch_before_what_is_kept_begins_with_what_is_there(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 100, fps=10, options={"g": "10", "x264-params": "scenecut=0"})
    ring = PacketRing(3.0)
    fill(ring, video)
    assert ring.cut(0.0, 2.0) is None
    cut, frames = written(ring.cut(0.0, 9.0), tmp_path)
    assert 5.0 <= cut.start <= 7.0 and frames[0][1] == round(cut.start * 10)
    assert ring.newest == pytest.approx(9.9)


def test_what_is_held_is_kept_and_bytes_bound_it_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [np.random.default_rng(n).integers(0, 256, (48, 64, 3), dtype=np.uint8) for n in range(100)]
    video = write_video(tmp_path / "v.mp4", images, fps=10, options={"g": "10", "x264-params": "scenecut=0"})
    ring = PacketRing(2.0)
    ring.hold(1.0)
    fill(ring, video)
    cut = ring.cut(1.0, 9.0)
    assert cut is not None and cut.start == pytest.approx(1.0)
    total = sum(packet.data.size for packet in ring._packets)
    monkeypatch.setattr(packets, "MOST_BYTES", total // 3)
    bounded = PacketRing(100.0)
    bounded.hold(0.0)
    fill(bounded, video)
    assert sum(packet.data.size for packet in bounded._packets) <= total // 3
    cut = bounded.cut(0.0, 9.9)
    assert cut is not None and cut.packets[0].packet.keyframe and cut.start > 5.0


def test_a_stamp_that_leaps_begins_anew_and_says_so(tmp_path: Path) -> None:
    told: list[float] = []
    ring = PacketRing(30.0, lambda: told.append(ring.newest))
    times = [n / 10 for n in range(30)] + [500 + n / 10 for n in range(30)]
    video = write_video(tmp_path / "v.mkv", 60, fps=10, times=times, options={"g": "10", "tune": "zerolatency"})
    fill(ring, video)
    assert len(told) == 2 and told[0] == -np.inf and 2.5 <= told[1] <= 3.0
    cut = ring.cut(0.0, 1000.0)
    assert cut is not None and cut.start >= 500


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtspServer]:
    pytest.importorskip("aio_rtsp_toolkit")
    write_video(tmp_path / "v.mp4", 100, fps=20, options={"g": "10", "tune": "zerolatency"})
    running = RtspServer(tmp_path)
    running.start()
    yield running
    running.kill()


def test_frames_of_a_network_stream_are_recorded_as_they_were_seen(server: RtspServer, tmp_path: Path) -> None:
    ring = PacketRing(20.0)
    seen: dict[int, float] = {}
    with open_source(server.url("v.mp4"), ring=ring) as source:
        for frame in source:
            seen[number_of(frame.image)] = frame.time
            if frame.time > 3.0:
                break
    cut, frames = written(ring.cut(1.5, 2.5), tmp_path)
    assert cut.start <= 1.55 and cut.template.suffix == ".mp4" and len(frames) >= 15
    matched = [(cut.start + time, seen[number]) for time, number in frames if number in seen]
    assert len(matched) >= 10
    assert all(time == pytest.approx(at, abs=0.002) for time, at in matched)


def test_what_holds_no_encoded_video_is_refused(tmp_path: Path) -> None:
    raw = write_video(tmp_path / "raw.mkv", 10, codec="rawvideo")
    avi = write_video(tmp_path / "old.avi", 10, codec="mpeg4")
    bag = tmp_path / "drive.mcap"
    write_mcap(bag, numbered(5))
    png = write_png(tmp_path / "photo.png", 64, 48)
    for source, said in (
        (raw, "gives raw pictures"), (avi, "AVI says nothing"), (png, "it is a picture"), (bag, "no encoded video"),
        ([(flat(1), 0.0)], "no encoded video"), (flat(1), "no encoded video"),
    ):  # fmt: skip
        with pytest.raises(VideoError, match=said):
            open_source(source, ring=PacketRing(5.0))  # type: ignore[arg-type]


def test_ticks_are_those_of_the_stream(tmp_path: Path) -> None:
    ring = PacketRing(5.0)
    fill(ring, write_video(tmp_path / "v.mkv", 20, fps=10))
    cut = ring.cut(0.0, 1.0)
    assert cut is not None and cut.template.time_base == Fraction(1, 1000)
