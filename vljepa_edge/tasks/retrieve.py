"""Text-to-video retrieval: windows of videos, ranked by the cosine of their embedding with a text's (paper, 4.1)."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vljepa_edge.errors import IndexFileError, InputError, redacted
from vljepa_edge.support.arguments import as_path, as_text, as_whole
from vljepa_edge.support.atomic import replacing

if TYPE_CHECKING:
    from vljepa_edge.perception.perception import Perception
    from vljepa_edge.video.source import SourceLike

SCHEMA = 1
INDEX = "index.json"


@dataclass(frozen=True, slots=True)
class Hit:
    """A moment of a video: its name in the index, seconds, and the cosine with the text."""

    name: str
    start: float
    end: float
    score: float


class Index:
    """Windows of videos and images, embedded under one query (the model's default unless given), overlapping by half.

    On disk: index.json (names, the model's digest, hashes) beside embeddings-*.npy, float32 [N, E], and spans-*.npy,
    float64 [N, 3] (number of the name, start, end). A loaded index maps its embeddings from disk. Not for use from
    several threads while one adds.
    """

    def __init__(self, model: Perception, query: str | None = None) -> None:
        self.model = model
        self.query = model.manifest.text.default_query if query is None else as_text(query, "query")
        self._names: dict[str, int] = {}
        self._embeddings: list[NDArray[np.float32]] = []
        self._spans: list[NDArray[np.float64]] = []

    def __len__(self) -> int:
        """How many windows there are."""
        return sum(len(part) for part in self._embeddings)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the videos and images, in the order they were added."""
        return tuple(self._names)

    def add(self, source: SourceLike, name: str | None = None) -> int:
        """Embed a video or image and add its windows; how many those are. A path needs no `name`.

        A camera or RTSP URL has no end and adds one window, of what is seen now; its times count from then.
        Raises InputError for a name that is there already, VideoError for the source; the index is then as before.
        """
        if name is None:
            if not isinstance(source, str | os.PathLike):
                raise InputError(f"a {type(source).__name__} has no name of its own; give add(source, name=...)")
            name = redacted(str(as_path(source, "source")))
        name = as_text(name, "name")
        if name in self._names:
            raise InputError(f"{name!r} is in the index already; give it another name")
        hop = max(1, self.model.manifest.video.window // 2)
        found = list(self.model.windows(source, self.query, hop=hop, full=True))
        number = len(self._names)
        self._embeddings.append(np.stack([window.embedding for window in found]))
        self._spans.append(np.array([(number, window.start, window.end) for window in found], np.float64))
        self._names[name] = number
        return len(found)

    def search(self, text: str, k: int = 5) -> list[Hit]:
        """The k moments that fit `text` best, best first. Of windows of one video that overlap, only the best is there.

        Raises InputError for an empty text or k below 1. An empty index has no hits.
        """
        count = as_whole(k, "k", 1)
        wanted = self.model.embed_text([text])[0]
        if not self._embeddings:
            return []
        scores = np.concatenate([part @ wanted for part in self._embeddings])
        spans = np.concatenate(self._spans)
        names = self.names
        taken: dict[int, list[tuple[float, float]]] = {}
        hits: list[Hit] = []
        for row in np.argsort(-scores, kind="stable"):
            number, start, end = int(spans[row, 0]), float(spans[row, 1]), float(spans[row, 2])
            others = taken.setdefault(number, [])
            if any(start <= stop and begin <= end for begin, stop in others):
                continue
            others.append((start, end))
            hits.append(Hit(names[number], start, end, float(scores[row])))
            if len(hits) == count:
                break
        return hits

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the index into a folder, replacing one that is there: index.json comes last, so all or nothing.

        Raises IndexFileError when it can't be written; an index that was there is then still whole.
        """
        target = Path(folder)
        stamp = secrets.token_hex(4)
        files = {kind: target / f"{kind}-{stamp}.npy" for kind in ("embeddings", "spans")}
        width = self.model.manifest.embedding.width
        try:
            target.mkdir(parents=True, exist_ok=True)
            before = [file for kind in files for file in target.glob(f"{kind}-*.npy")]
            np.save(files["embeddings"], np.concatenate([np.empty((0, width), np.float32), *self._embeddings]))
            np.save(files["spans"], np.concatenate([np.empty((0, 3)), *self._spans]))
            note = {
                "schema": SCHEMA,
                "bundle": self.model.bundle.digest,
                "query": self.query,
                "names": list(self._names),
                "arrays": {kind: {"file": file.name, "sha256": _sha256(file)} for kind, file in files.items()},
            }
            with replacing(target / INDEX) as part:
                part.write_text(json.dumps(note, ensure_ascii=False, indent=1), encoding="utf-8")
        except BaseException as error:
            for file in files.values():
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise IndexFileError(target, f"can't be written: {error.strerror or error}") from error
            raise
        for file in before:
            file.unlink(missing_ok=True)
        return target

    @classmethod
    def load(cls, folder: str | os.PathLike[str], model: Perception) -> Index:
        """Open a saved index; embeddings stay on disk, mapped.

        Raises IndexFileError, naming the file, when it is missing, altered or broken, or was made by another model.
        """
        root = Path(folder)
        note = _read_note(root / INDEX)
        if note["bundle"] != model.bundle.digest:
            name = f"{model.manifest.name} {model.manifest.version}"
            raise IndexFileError(root / INDEX, f"was made by another model than {name}; index anew")
        index = cls(model, note["query"])
        index._names = {name: number for number, name in enumerate(note["names"])}
        embeddings = _read_array(root, note["arrays"], "embeddings", np.float32, model.manifest.embedding.width)
        spans = np.array(_read_array(root, note["arrays"], "spans", np.float64, 3))
        if len(embeddings) != len(spans) or not np.isin(spans[:, 0], np.arange(len(index._names))).all():
            raise IndexFileError(root / INDEX, "does not fit its arrays; index anew")
        if len(spans):
            index._embeddings, index._spans = [embeddings], [spans]
        return index


def _read_note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise IndexFileError(path, f"can't be read ({error.strerror}); give a folder that Index.save wrote") from error
    except (ValueError, RecursionError) as error:
        raise IndexFileError(path, "is not JSON; index anew") from error
    kinds: dict[str, type] = {"schema": int, "bundle": str, "query": str, "names": list, "arrays": dict}
    if not isinstance(note, dict) or any(not isinstance(note.get(key), kind) for key, kind in kinds.items()):
        raise IndexFileError(path, "is not the note of an index; index anew")
    if note["schema"] != SCHEMA:
        raise IndexFileError(path, f"has schema {note['schema']}, this version reads {SCHEMA}; index anew")
    names = note["names"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise IndexFileError(path, "has names that are no texts, or one twice; index anew")
    return note


def _read_array(root: Path, entries: Mapping[str, Any], kind: str, dtype: type, width: int) -> NDArray[Any]:
    """Map one array after checking its name, hash, type and shape."""
    entry = entries.get(kind)
    found = entry if isinstance(entry, dict) else {}
    name = found.get("file")
    if not isinstance(name, str) or not name.startswith(f"{kind}-") or not name.endswith(".npy") or "/" in name:
        raise IndexFileError(root / INDEX, f"names no legal file for its {kind}; index anew")
    path = root / name
    try:
        if _sha256(path) != found["sha256"]:
            raise IndexFileError(path, "is not what was saved (its hash differs); index anew")
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise IndexFileError(path, f"can't be read ({error}); index anew") from error
    if array.dtype != dtype or array.ndim != 2 or array.shape[1] != width:
        raise IndexFileError(path, f"is {array.dtype} {array.shape}, not {np.dtype(dtype)} (N, {width}); index anew")
    return array


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
