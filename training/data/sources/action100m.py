"""Action100M: Parquet files with a row a video, whose nodes are stretches on several levels with texts for each.

The schema of its preview: `video_uid`, `metadata`, `nodes[]` with `start, end, node_id, parent_id, level, plm_caption,
plm_action, llama3_caption` and `gpt{summary{brief, detailed}, action{brief, detailed, actor}}`. Videos are files named
by their uid, anywhere under a folder.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.support.parquet import columns_of, rows_of
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.folder import media_files
from vljepa_edge.training.data.sources.listed import Listed

TEXTS = (
    "plm_caption",
    "plm_action",
    "llama3_caption",
    "gpt.summary.brief",
    "gpt.summary.detailed",
    "gpt.action.brief",
    "gpt.action.detailed",
)
_COLUMNS = ("video_uid", "nodes")
_ROWS = 32  # that are in memory at once: a long video has thousands of nodes


def read_action100m(
    path: str | Path,
    videos: str | Path,
    texts: Sequence[str] = ("gpt.summary.brief",),
    levels: Sequence[int] | None = None,
) -> Listed:
    """A sample for each text of each node.

    path: a Parquet file or a folder of them; videos: the folder of the videos; texts: names of TEXTS; levels: of nodes,
    None for all. What is left out is counted by the reason in `left_out`: videos that are not there, nodes without a
    text or without a length.
    Raises InputError for an unknown text, DataError for files that are not of this schema or leave nothing.
    """
    unknown = [name for name in texts if name not in TEXTS]
    if unknown or not texts:
        raise InputError(f"texts of Action100M must be of {', '.join(TEXTS)}, got {unknown or 'none'}")
    path = Path(path)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise DataError(path, "there are no .parquet files in it")
    found = {file.stem: file for file in media_files(Path(videos))}
    left_out: Counter[str] = Counter()
    wanted = None if levels is None else set(levels)
    return Listed(str(path), _samples(files, found, texts, wanted, left_out), left_out)


def has_schema(path: Path) -> bool:
    """Whether a Parquet file has a row a video with nodes."""
    try:
        return set(_COLUMNS) <= set(columns_of(path))
    except DataError:
        return False


def _samples(
    files: Iterable[Path],
    videos: Mapping[str, Path],
    texts: Sequence[str],
    levels: set[int] | None,
    left_out: Counter[str],
) -> Iterator[Sample]:
    for file in files:
        for place, row in rows_of(file, _COLUMNS, _ROWS):
            uid = row["video_uid"]
            if not isinstance(uid, str) or not uid:
                raise DataError(file, f"video_uid must be a text, got {uid!r}", place)
            if uid not in videos:
                left_out["videos that are not there"] += 1
                continue
            for node in row["nodes"] or ():
                if levels is None or node.get("level") in levels:
                    yield from _of_node(node, uid, str(videos[uid]), texts, left_out)


def _of_node(
    node: Mapping[str, Any], uid: str, media: str, texts: Sequence[str], left_out: Counter[str]
) -> Iterator[Sample]:
    start, end = node.get("start"), node.get("end")
    if not (_is_time(start) and _is_time(end) and start < end):
        left_out["nodes without a length"] += 1
        return
    said = {name: text for name in texts if (text := _text(node, name))}
    if not said:
        left_out["nodes without a text"] += 1
    for name, text in said.items():
        key = f"{uid}/{node.get('node_id')}/{name}"
        yield Sample(key, media, text, start=float(start), end=float(end))


def _is_time(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


def _text(node: Mapping[str, Any], name: str) -> str:
    value: Any = node
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value.strip() if isinstance(value, str) else ""
