"""The heads that a client may name: never by a path, so that no request reads a file of its choice."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from vljepa_edge.errors import HeadError, InputError
from vljepa_edge.perception.head import Head
from vljepa_edge.serve.refusal import unknown_head
from vljepa_edge.support.arguments import shown

if TYPE_CHECKING:
    from vljepa_edge.model import Model

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ENDINGS = (".head.npz", ".npz")


class HeadShelf:
    """Heads by name: those that the server was given, and the files of one folder as they are when they are asked for.

    A file is read again only where it has changed, so a name is the same Head for as long as its file is the same. Any
    thread may call it.
    """

    def __init__(self, model: Model, given: Mapping[str, Head] | None = None, folder: Path | None = None) -> None:
        """folder: `door.head.npz`, or `door.npz`, in it is the head "door". Raises InputError for what is no folder."""
        if folder is not None and not folder.is_dir():
            raise InputError(f"the folder of heads must be one, got {shown(str(folder))}")
        self._model = model
        self._given = dict(given or {})
        self._folder = folder
        self._lock = threading.Lock()
        self._read: dict[
            Path, tuple[tuple[int, int], Head]
        ] = {}  # file -> when and how long it was, and what was in it
        self._names: WeakKeyDictionary[Head, str] = WeakKeyDictionary(
            {head: name for name, head in self._given.items()}
        )

    def take(self, names: Sequence[str]) -> list[Head]:
        """The heads of these names. Raises Refusal for a name that none has, and HeadError, with the name, for a file
        that is no head or one of another X-encoder."""
        return [self._find(name) for name in names]

    def name(self, head: Head) -> str | None:
        """What a head is called; None for one that was not taken here."""
        return self._names.get(head)

    @property
    def names(self) -> list[str]:
        """All names that may be asked for."""
        found = set(self._given)
        for file in () if self._folder is None else self._folder.iterdir():
            name = head_name(file)
            if name is not None:
                found.add(name)
        return sorted(found)

    def _find(self, name: str) -> Head:
        if name in self._given:
            return self._given[name]
        if self._folder is not None and NAME.fullmatch(name):
            for file in (self._folder / f"{name}{ending}" for ending in _ENDINGS):
                if file.is_file():
                    return self._load(name, file)
        raise unknown_head(name, self.names)

    def _load(self, name: str, file: Path) -> Head:
        about = file.stat()
        stamp = (about.st_mtime_ns, about.st_size)
        with self._lock:
            known = self._read.get(file)
            if known is not None and known[0] == stamp:
                return known[1]
            try:
                head = Head.load(file)
            except HeadError as error:
                raise HeadError(name, str(error).removeprefix(f"{error.file}: ")) from error
            head.check_encoder(self._model, name)
            self._read[file] = stamp, head
            self._names[head] = name
        return head


def name_heads(heads: Iterable[tuple[Path, Head]]) -> dict[str, Head]:
    """Heads by the names of their files. Raises InputError where two have the same."""
    named: dict[str, Head] = {}
    for file, head in heads:
        name = head_name(file) or file.name
        if name in named:
            raise InputError(f"heads must have different names, got two called {shown(name)}")
        named[name] = head
    return named


def head_name(file: Path) -> str | None:
    """What the head in a file is called: `door` of door.head.npz. None for a file that is not called so."""
    ending = next((ending for ending in _ENDINGS if file.name.endswith(ending)), None)
    if ending is None or not NAME.fullmatch(name := file.name.removesuffix(ending)):
        return None
    return name
