"""Cues as WebVTT and SubRip, the texts of .vtt and .srt files."""

from __future__ import annotations

from collections.abc import Iterable

from vljepa_edge.sinks.captions import Cue

# SubRip knows no escapes, and players read <i>, <font> and {\an8} in it: signs that look alike take their place.
_LIKE = str.maketrans("<>{}", "‹›()")


def webvtt(cues: Iterable[Cue], written: int | None = None) -> str:
    """A WebVTT file (https://www.w3.org/TR/webvtt1/) of cues in the order of time; what is added to it, where so many
    are written."""
    head = "WEBVTT\n" if written is None else ""
    return head + "".join(
        f"\n{_times(cue, '.')}\n" + "".join(f"{_escaped(line)}\n" for line in cue.lines) for cue in cues
    )


def subrip(cues: Iterable[Cue], written: int | None = None) -> str:
    """The same as SubRip; <>{} become signs that look like them, as players read markup."""
    blocks = [
        f"{number}\n{_times(cue, ',')}\n" + "".join(f"{line.translate(_LIKE)}\n" for line in cue.lines)
        for number, cue in enumerate(cues, (written or 0) + 1)
    ]
    return ("\n" if written and blocks else "") + "\n".join(blocks)


def _times(cue: Cue, point: str) -> str:
    return f"{_stamp(cue.start, point)} --> {_stamp(cue.end, point)}"


def _stamp(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{point}{rest:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
