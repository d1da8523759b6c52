"""The video that the benchmarks read: that of `vljepa bench`, as H.264 where PyAV can write it, as most cameras do."""

from __future__ import annotations

from pathlib import Path

import av

from vljepa_edge.cli.bench import CLIP_FPS, CLIP_SECONDS, CLIP_SIZE, write_clip

SECONDS = CLIP_SECONDS


def make_clip(folder: Path) -> tuple[Path, str]:
    """Write the clip into `folder`; returns its path and what it is."""
    plain = folder / "mpeg4.mp4"
    write_clip(plain)
    size = f"synthetic {CLIP_SIZE[0]}x{CLIP_SIZE[1]}, {CLIP_FPS} fps, {CLIP_SECONDS} s"
    if "libx264" not in av.codecs_available:
        return plain, f"{size}, MPEG-4"
    out = folder / "h264.mp4"
    with av.open(str(plain)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream("libx264", rate=CLIP_FPS, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = *CLIP_SIZE, "yuv420p"
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format="yuv420p")))
        target.mux(stream.encode(None))
    kilobits = 8e-3 * out.stat().st_size / CLIP_SECONDS
    return out, f"{size}, H.264 at {kilobits:.0f} kbit/s"
