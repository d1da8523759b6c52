"""`vljepa search` over an event store: what was seen, and when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vljepa_edge.cli.output import console, print_json, video_warnings
from vljepa_edge.errors import InputError
from vljepa_edge.support.amounts import seconds
from vljepa_edge.support.arguments import shown
from vljepa_edge.support.json_numbers import number

if TYPE_CHECKING:
    from vljepa_edge.store.reader import Moment, TextEmbedder


@dataclass(frozen=True)
class Asked:
    """What is looked for in a store."""

    text: str
    k: int
    stream: str | None
    earliest: datetime | None
    latest: datetime | None


def read_when(text: str | None, option: str) -> datetime | None:
    """A time of the clock on the wall: ISO 8601, local where it names no zone, or how long ago, as 2h or 7d. Raises
    InputError."""
    if text is None:
        return None
    try:
        return datetime.fromtimestamp(time.time() - seconds(text, option)).astimezone()
    except InputError:
        pass
    except (OverflowError, ValueError, OSError) as error:
        raise InputError(f"{option} must be a time that the clock can have, got {shown(text)}") from error
    try:
        return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text).astimezone()
    except (OverflowError, ValueError, OSError) as error:
        allowed = "a time such as 2026-11-29, 2026-11-29T18:00 or 2h (ago)"
        raise InputError(f"{option} must be {allowed}, got {shown(text)}") from error


def print_moments(folder: Path, asked: Asked, model: TextEmbedder, *, as_json: bool) -> None:
    """Search a store and print what is found, best first."""
    from vljepa_edge.store.reader import StoreReader

    found = StoreReader(folder).search(
        model, asked.text, asked.k, stream=asked.stream, earliest=asked.earliest, latest=asked.latest
    )
    if as_json:
        print_json({"text": asked.text, "hits": [moment_json(moment) for moment in found]} | video_warnings())
        return
    out = console()
    for moment in found:
        out.print(f"{moment.score:7.3f}  {_span(moment)}  {moment.stream}  {_words(moment)}".rstrip())


def moment_json(moment: Moment) -> dict[str, Any]:
    """A moment for programs. Times of the clock on the wall are ISO 8601 with their zone."""
    return {
        "id": moment.id,
        "stream": moment.stream,
        "began_at": _iso(moment.began_at),
        "ended_at": None if moment.ended_at is None else _iso(moment.ended_at),
        "start": number(moment.start),
        "end": number(moment.end),
        "text": moment.text,
        "confidence": number(moment.confidence),
        "query": moment.query,
        "kind": moment.kind,
        "interrupted": moment.interrupted,
        "clip": None if moment.clip is None else str(moment.clip),
        "clip_start": number(moment.clip_start),
        "score": number(moment.score),
    }


def _iso(moment: datetime) -> str:
    return moment.astimezone().isoformat(timespec="milliseconds")


def _span(moment: Moment) -> str:
    began = moment.began_at.astimezone()
    if moment.ended_at is None:
        return f"{began:%Y-%m-%d %H:%M:%S} - ..."
    return f"{began:%Y-%m-%d %H:%M:%S} - {moment.ended_at.astimezone():%H:%M:%S}"


def _words(moment: Moment) -> str:
    text = moment.text or "(no text)"
    return f"{text} (interrupted)" if moment.interrupted else text
