"""What a model says of videos, for a person to judge: `python -m benchmarks.look [VIDEO ...] --out sheets`.

Each video is streamed as `vljepa stream` does, and becomes one PNG: a row a segment, with frames from its beginning,
middle and end over the text that is printed, how sure the model is of it, and of what is not shown. Without videos
those of `vljepa data fetch everyday` (video_demo) and the real videos of the model card are taken. texts.md lists all
texts with an empty column for what the person thinks: "true", "false", or nothing where there is no text.

The pictures are the makers' own: look at them, and don't publish them.
"""

from __future__ import annotations

import argparse
import os
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vljepa_edge.errors import InputError
from vljepa_edge.model import Model, load
from vljepa_edge.streaming.event import Event
from vljepa_edge.streaming.options import StreamOptions
from vljepa_edge.support.atomic import replacing
from vljepa_edge.support.media_files import media_files
from vljepa_edge.video.source import open_source

FRAMES = 4
THUMBNAIL = (256, 144)
_GAP, _TEXT = 6, 46  # pixels between things, and of the two lines of text
_LINE = 118  # characters of a line
_RATE = 4.0  # thumbnails a second
_DEMO = "video_demo"


@dataclass(frozen=True)
class Row:
    """A closed segment: FRAMES pictures, uint8 RGB, and what is written under them. `raw`: the model's own words, where
    they are not what is shown."""

    event: Event
    frames: tuple[NDArray[np.uint8], ...]
    raw: str

    def lines(self) -> list[str]:
        """What is printed, how sure that is, and the model's own words where others are shown."""
        event = self.event
        sure = "" if event.confidence is None else f"  ({event.confidence:.2f}, {event.wording})"
        kept = f"  kept back: {self.raw}" if self.raw else ""
        return [line for part in (f"{event}{sure}", kept) for line in textwrap.wrap(part, _LINE)[:1]]


def look(model: Model, video: Path, options: StreamOptions) -> list[Row]:
    """What a stream says of a video, with its frames. Raises VideoError."""
    with model.stream(str(video), options=options) as events:
        closed = [event for event in events if event.status == "closed"]
    with open_source(str(video), size=THUMBNAIL, fps=_RATE) as source:
        frames = [(frame.time, frame.image.copy()) for frame in source]
    times = np.array([time for time, _ in frames])
    rows = []
    for event in closed:
        end = event.start if event.end is None else event.end
        wanted = np.linspace(event.start, end, 2 * FRAMES + 1)[1::2]
        chosen = tuple(frames[int(np.abs(times - time).argmin())][1] for time in wanted)
        raw = model.decode_text(event.embedding) if event.wording != "specific" else ""
        rows.append(Row(event, chosen, raw))
    return rows


def sheet(title: str, rows: Sequence[Row]) -> Image.Image:
    """One picture of all rows, top to bottom. Raises InputError for no rows."""
    if not rows:
        raise InputError(f"{title} has no segments to show")
    width, height = THUMBNAIL
    step = height + _TEXT + 2 * _GAP
    picture = Image.new("RGB", (FRAMES * (width + _GAP) + _GAP, len(rows) * step + 34), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(16)
    pen.text((_GAP, 8), title, fill="black", font=font)
    for number, row in enumerate(rows):
        top = 34 + number * step
        for place, frame in enumerate(row.frames):
            picture.paste(Image.fromarray(frame), (_GAP + place * (width + _GAP), top))
        colours = ("#123a7a" if row.event.wording != "none" else "#777777", "#777777")
        for line, (text, colour) in enumerate(zip(row.lines(), colours, strict=False)):
            pen.text((_GAP, top + height + 4 + 20 * line), text, fill=colour, font=font)
    return picture


def table(rows: Iterable[tuple[str, Row]]) -> str:
    """All texts in Markdown, with an empty column for the person who looks."""
    lines = ["| video | seconds | text | confidence | true? |", "|---|---|---|---|---|"]
    for video, row in rows:
        event = row.event
        sure = "" if event.confidence is None else f"{event.confidence:.2f}"
        lines.append(f"| {video} | {event.start:.2f} to {event.end:.2f} | {event.words()} | {sure} | |")
    return "\n".join(lines) + "\n"


def default_videos() -> list[Path]:
    """The demo's clips, as far as they were fetched, and the real videos of the model card."""
    from vljepa_edge.training.everyday.fetch import default_folder
    from vljepa_edge.training.tiny.assets import videos

    demo = default_folder() / _DEMO / "clips"
    return [*(_within(demo) if demo.is_dir() else ()), *videos().values()]


def _within(folder: Path) -> list[Path]:
    return [folder / name for name in media_files(folder)]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.look", description=__doc__)
    parser.add_argument("videos", nargs="*", type=Path, metavar="VIDEO", help="files, or folders of them")
    parser.add_argument("--model", type=Path, default=os.environ.get("VLJEPA_MODEL"), help="a bundle")
    parser.add_argument("--policy", default="running-ward", help="as of vljepa stream (default: %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the pictures go")
    given = parser.parse_args()
    named = [file for path in given.videos for file in (_within(path) if path.is_dir() else [path])]
    model = load(given.model)
    given.out.mkdir(parents=True, exist_ok=True)
    said = []
    for video in named or default_videos():
        rows = look(model, video, StreamOptions(policy=given.policy))
        path = given.out / f"{video.stem}.png"
        with replacing(path) as part:
            sheet(f"{video.name}, {model.manifest.name} {model.manifest.version}", rows).save(part, "PNG")
        said += [(video.name, row) for row in rows]
        print(path, flush=True)
    with replacing(given.out / "texts.md") as part:
        part.write_text(table(said), encoding="utf-8")
    print(given.out / "texts.md")


if __name__ == "__main__":
    main()
