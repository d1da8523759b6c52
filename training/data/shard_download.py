"""Tars in the format of webdataset, fetched from where they are published into a folder, and indexed there.

A stream of tars can't be entered at a sample, so a run over one goes on roughly where it was after an interruption.
From a folder it goes on exactly, and each shard crosses the network once, however many epochs read it.
"""

from __future__ import annotations

import http.client
import itertools
import json
import re
import threading
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vljepa_edge.errors import DataError, InputError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.check import Fault, OnStep
from vljepa_edge.training.data.tar_index import members_of, write_index
from vljepa_edge.training.data.tries import HEADERS, TIMEOUT, tried

THREADS = 4
ORIGIN = ".origin.json"  # behind the archive's own name
_MOST_SHARDS = 100_000
_CHUNK = 1 << 20
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass
class Downloaded:
    """What is in the folder. fetched: of the shards, those that were not there yet. bytes: of all shards."""

    out: Path
    shards: int = 0
    fetched: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {**vars(self), "out": str(self.out), "faults": [fault._asdict() for fault in self.faults]}


def addresses(pattern: str) -> list[str]:
    """The addresses that `https://host/part-{0000..0009}.tar` names, in order; a pattern may have several ranges.

    Raises InputError for what is no http or https address of a .tar, for a range that goes down, for more than 100,000
    shards, and for two of the same file name.
    """
    if not pattern.startswith(("http://", "https://")):
        raise InputError(f"the address of shards must begin with https:// or http://, got {pattern!r}")
    pieces = _RANGE.split(pattern)  # text, first, last, text, first, last, text
    ranges = [_numbers(first, last, pattern) for first, last in zip(pieces[1::3], pieces[2::3], strict=True)]
    count = 1
    for numbers in ranges:
        count *= len(numbers)
    if count > _MOST_SHARDS:
        raise InputError(f"{pattern} must name at most {_MOST_SHARDS} shards, got {count}")
    found = []
    for chosen in itertools.product(*ranges):
        texts = [f"{number:0{len(first)}}" for number, first in zip(chosen, pieces[1::3], strict=True)]
        found.append("".join(itertools.chain.from_iterable(zip(pieces[::3], [*texts, ""], strict=True))))
    names = [_name(url) for url in found]
    if len(set(names)) < len(names):
        raise InputError(f"{pattern} must name shards of different file names: a folder holds one of each")
    return found


def download_shards(pattern: str, out: str | Path, on_step: OnStep | None = None, pause: float = 1.0) -> Downloaded:
    """Get the shards of `addresses(pattern)` that are not in `out` yet, each with an index of byte offsets beside it.

    A shard appears when all of it is there and it is a tar; which address it is of is noted beside it (`ORIGIN`), with
    its size and its ETag. One that is noted so, and has that size, is kept and not asked for. A transfer that breaks
    off goes on where it was if the host can do that. What can't be had is in `faults`. pause: seconds before the second
    try.
    Raises InputError as `addresses` does, AssetError when the host can't be reached, OSError for a full disk.
    """
    wanted = addresses(pattern)
    done = Downloaded(Path(out))
    done.out.mkdir(parents=True, exist_ok=True)
    stop, amount = threading.Event(), _Amount(len(wanted), on_step)
    with ThreadPoolExecutor(THREADS) as pool:
        running = {pool.submit(_get, url, done.out, amount, stop, pause): url for url in wanted}
        try:
            for future in as_completed(running):
                url = running[future]
                fetched, reason = future.result()
                if reason is None:
                    done.shards += 1
                    done.fetched += fetched
                    done.bytes += (done.out / _name(url)).stat().st_size
                else:
                    done.faults.append(Fault(url, "shard", reason))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)  # the end of `with` waits for those under way
            raise
    done.faults.sort()
    return done


def _numbers(first: str, last: str, pattern: str) -> range:
    if int(last) < int(first):
        raise InputError(f"{pattern}: a range must go up, got {first}..{last}")
    return range(int(first), int(last) + 1)


def _name(url: str) -> str:
    """The file name of an address, which a folder can hold."""
    name = urllib.parse.unquote(urllib.parse.urlsplit(url).path.rpartition("/")[2])
    if not name.endswith(".tar") or name.startswith(".") or re.search(r"[/\\\x00]", name):
        raise InputError(f"the address of a shard must end in the name of a .tar, got {url!r}")
    return name


class _Amount:
    """How many MB have come, of as many as the shards whose sizes are known let expect."""

    def __init__(self, shards: int, on_step: OnStep | None) -> None:
        self._shards, self._on_step = shards, on_step
        self._sizes: dict[str, int] = {}
        self._come: dict[str, int] = {}
        self._lock = threading.Lock()

    def came(self, url: str, so_far: int, size: int) -> None:
        with self._lock:
            self._sizes[url], self._come[url] = size, so_far
            if self._on_step is not None:
                expected = sum(self._sizes.values()) * self._shards // len(self._sizes)
                self._on_step("MB of shards", sum(self._come.values()) // 10**6, expected // 10**6)


def _get(url: str, folder: Path, amount: _Amount, stop: threading.Event, pause: float) -> tuple[bool, str | None]:
    """Whether the shard was fetched; why it can't be had, or None."""
    if stop.is_set():
        return False, "was not fetched, since the fetch was ended"
    target = folder / _name(url)
    origin = target.with_name(target.name + ORIGIN)
    if target.exists():
        noted = _read_origin(origin)
        if noted.get("url") != url:
            return False, f"{target} is there already, and is not noted as of this address; name another folder"
        size = target.stat().st_size
        if noted.get("bytes") == size:
            amount.came(url, size, size)
            return False, None
    try:
        with replacing(target) as part:
            transfer = _Transfer(url, part, amount, stop)
            reason = tried(url, transfer.go_on, stop, pause)
            if reason is not None:
                raise _NotKept(reason)
            try:
                members_of(part)
            except DataError as error:
                raise _NotKept(str(error).replace(str(part), "what came")) from error
            with replacing(origin) as note:
                note.write_text(json.dumps({"url": url, "bytes": part.stat().st_size, "etag": transfer.etag}), "utf-8")
    except _NotKept as error:
        return False, str(error)
    write_index(target)
    return True, None


class _NotKept(Exception):
    """What came is no shard that can be used."""


def _read_origin(origin: Path) -> dict[str, Any]:
    try:
        noted = json.loads(origin.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return noted if isinstance(noted, dict) else {}


class _Transfer:
    """One shard on its way. etag: what the host calls this content, None where it has no strong name for it."""

    def __init__(self, url: str, part: Path, amount: _Amount, stop: threading.Event) -> None:
        self._url, self._part, self._amount, self._stop = url, part, amount, stop
        self.etag: str | None = None

    def go_on(self) -> str | None:
        """Get what is missing, or everything again where the host can't do that or has something else by now."""
        begun = self._part.stat().st_size if self.etag is not None and self._part.exists() else 0
        rest = {"Range": f"bytes={begun}-", "If-Range": self.etag} if begun and self.etag is not None else {}
        request = urllib.request.Request(self._url, headers=HEADERS | rest)
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            content_range = answer.headers.get("Content-Range") or ""
            continued = answer.status == 206 and content_range.startswith(f"bytes {begun}-")
            if answer.status == 206 and not continued:
                return f"the host answers with another part of it ({content_range})"
            etag = answer.headers.get("ETag")
            self.etag = etag if etag is not None and not etag.startswith("W/") else None
            at = begun if continued else 0
            size = at + (answer.length or 0)
            with self._part.open("ab" if continued else "wb") as file:
                while chunk := answer.read(_CHUNK):
                    if self._stop.is_set():
                        return "was not fetched, since the fetch was ended"
                    file.write(chunk)
                    at += len(chunk)
                    self._amount.came(self._url, at, max(size, at))
            if answer.length:  # what the header promised and did not come
                raise http.client.IncompleteRead(b"", answer.length)
        return None
