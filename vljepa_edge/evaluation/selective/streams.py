"""Streams of frames with annotations: strung together from pictures and clips, or a user's own recordings."""

from __future__ import annotations

import glob
import hashlib
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.evaluation.selective.annotations import Annotation, is_name, read_atomic, read_table
from vljepa_edge.evaluation.selective.camera import LEVELS, MARGIN, Camera
from vljepa_edge.evaluation.selective.items import Item, MakeItems
from vljepa_edge.evaluation.selective.timeline import DURATION, EVENTS, Event, script
from vljepa_edge.evaluation.tables import json_list, texts_of
from vljepa_edge.support.media_files import VIDEOS
from vljepa_edge.video.source import Source

VERSION = 1
"""Of the makers: raise it when a recipe gives other frames."""
TABLE, ATOMIC = "annotations.csv", "atomic_descriptions_*.json"
Frames = Iterator[tuple[NDArray[np.uint8], float]]


@dataclass(frozen=True)
class Stream:
    """A stream to be embedded. recipe: whatever changes its frames changes this. starts: seconds, when each event
    begins, in their order; empty where nobody knows. frames(open): RGB frames and their seconds, from the first at each
    call; open: how a model opens a file, Perception.open."""

    name: str
    recipe: Mapping[str, object]
    annotations: tuple[Annotation, ...]
    starts: tuple[float, ...]
    frames: Callable[[Callable[[Path], Source]], Frames]

    @property
    def digest(self) -> str:
        return hashlib.sha256(json.dumps(self.recipe, sort_keys=True).encode()).hexdigest()


def strung(
    kind: str, make: MakeItems, seed: int, noise: str, fps: float, *,
    tuning: bool = False, duration: float = DURATION, count: int = EVENTS,
) -> Stream:  # fmt: skip
    """A stream of a kind of items, at one of LEVELS. The levels of one seed show the same events.

    Raises InputError for an unknown level, and what `make` raises.
    """
    if noise not in LEVELS:
        raise InputError(f"noise must be one of {', '.join(LEVELS)}, got {noise!r}")
    rng = random.Random(f"{kind}/{seed}/{tuning}")
    shown, digest = make(rng, tuning)
    events = script(rng, [item.captions for item in shown], duration=duration, count=count)
    recipe = {
        "version": VERSION, "kind": kind, "seed": seed, "noise": noise, "fps": fps, "items": digest,
        "tuning": tuning, "duration": duration, "count": count, **({"camera": "its own"} if tuning else {}),
    }  # fmt: skip
    camera = partial(Camera, LEVELS[noise], seed, round(duration * fps), fps, tuning=tuning)
    return Stream(
        name=f"{kind} {seed}",
        recipe=recipe,
        annotations=tuple(Annotation(event.at, event.text) for event in events),
        starts=tuple(event.start for event in events),
        frames=lambda open: _play(events, shown, camera(), fps),
    )


def _play(events: Sequence[Event], shown: Sequence[Item], camera: Camera, fps: float) -> Frames:
    @lru_cache(8)
    def frames(item: int) -> NDArray[np.float32]:
        return np.asarray(shown[item].frames(fps), np.float32)

    def picture(event: Event, time: float) -> NDArray[np.float32]:
        seen = frames(event.item)
        frame: NDArray[np.float32] = seen[
            0 if event.still else min(int((time - event.start) * fps + 1e-6), len(seen) - 1)
        ]
        return frame

    place = 0
    for number in range(round(events[-1].end * fps)):
        time = number / fps
        while time >= events[place].end and place + 1 < len(events):
            place += 1
        event = events[place]
        seen = picture(event, time)
        if time - event.start < event.fade:
            share = np.float32((time - event.start) / event.fade)
            seen = (1 - share) * picture(events[place - 1], time) + share * seen
        x, y = (min(max(speed * (time - event.start), 1 - MARGIN), MARGIN - 1) for speed in event.pan)
        yield camera.look(number, seen, (x, y), event.still), time


def recorded(folder: Path, say: Callable[[str], None]) -> list[Stream]:
    """The videos of a folder with their annotations: `annotations.csv`, or EgoExo4D's atomic descriptions, whose takes
    are the videos TAKE_UID.mp4, or of takes.json, `takes/TAKE_NAME/` with the video of its Aria camera's RGB stream.

    Of EgoExo4D only the validation takes are read where their file is there, whatever people do in them: the paper
    takes 218 of them that are of procedures (section 4.6), and does not list them. say: told how many takes lack a
    video, and are left out.

    Raises DataError where there are no annotations, a video of the table is missing, or those of all takes are.
    """
    table = folder / TABLE
    atomic = sorted([*folder.glob(ATOMIC), *folder.glob(f"annotations/{ATOMIC}")])
    if table.is_file():
        found = read_table(table)
    elif atomic:
        official = [file for file in atomic if file.stem.endswith("_val")] or atomic
        found = _taken(folder, {take: given for file in official for take, given in read_atomic(file).items()}, say)
    else:
        raise DataError(folder, f"must hold {TABLE} (columns path, time, text) or {ATOMIC} beside its videos")
    return [_recording(path, given) for path, given in found.items()]


def has_annotations(folder: Path) -> bool:
    """Whether `recorded` finds annotations in a folder."""
    return (folder / TABLE).is_file() or any(folder.glob(ATOMIC)) or any(folder.glob(f"annotations/{ATOMIC}"))


def _takes(folder: Path) -> dict[str, str]:
    """The names of takes by their uid, of takes.json where it is there."""
    file = folder / "takes.json"
    if not file.is_file():
        return {}
    found = {}
    for place, take in json_list(file):
        uid, name = texts_of(file, place, take, "take_uid", "take_name")
        if not is_name(name):
            raise DataError(file, f"take_name must be the name of a folder, got {name!r}", place)
        found[uid] = name
    return found


def _taken(
    folder: Path, annotated: Mapping[str, list[Annotation]], say: Callable[[str], None]
) -> dict[Path, list[Annotation]]:
    """The annotations of those takes whose video is there, by the video."""
    names = _takes(folder)
    videos = {take: video for take in annotated if (video := _video(folder, take, names)) is not None}
    if not videos:
        take = next(iter(annotated))
        where = f"{take}.mp4, or takes.json and takes/TAKE_NAME"
        raise DataError(folder, f"must hold videos of takes, e.g. {take}: {where}")
    if len(videos) < len(annotated):
        say(f"{len(annotated) - len(videos)} of {len(annotated)} takes are left out: their videos are not there")
    return {video: annotated[take] for take, video in videos.items()}


def _video(folder: Path, take: str, takes: Mapping[str, str]) -> Path | None:
    own = [path for path in sorted(folder.glob(f"{glob.escape(take)}.*")) if path.suffix.lower() in VIDEOS]
    if not own and take in takes:
        own = sorted((folder / "takes" / takes[take]).rglob("*_214-1.mp4"))  # 214-1: the RGB camera of Aria glasses
    return own[0] if own else None


def _recording(path: Path, given: Sequence[Annotation]) -> Stream:
    if not path.is_file():
        raise DataError(path, "is not there")
    state = path.stat()
    recipe = {"version": VERSION, "file": str(path.resolve()), "size": state.st_size, "changed": state.st_mtime_ns}
    return Stream(path.stem, recipe, tuple(given), (), lambda open: _frames(open(path)))


def _frames(source: Source) -> Frames:
    with source:
        yield from source
