"""Files from public addresses, several at once, each checked by its SHA-256 and kept only when it is complete."""

from __future__ import annotations

import hashlib
import http.client
import threading
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.tries import HEADERS, TIMEOUT, tried

THREADS = 8
_LARGEST = 64 << 20  # bytes: none of the files is near it, so more is something else
_CHUNK = 1 << 16

OnFile = Callable[[int, int], None]
"""How many files are done, how many there are."""


@dataclass(frozen=True)
class Wanted:
    """A file to get. sha256: in hexadecimal digits."""

    url: str
    target: Path
    sha256: str


class Fault(NamedTuple):
    """A file that could not be had, and why."""

    file: str
    reason: str


def download(wanted: Sequence[Wanted], on_file: OnFile | None = None, pause: float = 1.0) -> list[Fault]:
    """Get the files that are not there yet. What can't be had is returned, and does not keep the others from coming.

    A file that is there with the right hash is kept, so a run that was ended goes on where it was. pause: seconds
    before the second try, doubled each time. Raises AssetError when the host can't be reached or asks to come later;
    OSError when a file can't be written (a full disk). Then, and at Ctrl-C, what is under way is dropped.
    """
    stop = threading.Event()
    faults: list[Fault] = []
    with ThreadPoolExecutor(THREADS) as pool:
        running = [pool.submit(_get, one, stop, pause) for one in wanted]
        try:
            for done, future in enumerate(as_completed(running), 1):
                fault = future.result()
                if fault is not None:
                    faults.append(fault)
                if on_file is not None:
                    on_file(done, len(wanted))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)  # the end of `with` waits for those under way
            raise
    return sorted(faults)


def has_hash(path: Path, sha256: str) -> bool:
    """Whether the file is there and has this SHA-256. Raises OSError for one that can't be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return False
    return digest.hexdigest() == sha256


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """As `replacing`, and makes the folder. An error of the system, that the disk is full, names `target`."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            yield part
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def _get(one: Wanted, stop: threading.Event, pause: float) -> Fault | None:
    if stop.is_set() or has_hash(one.target, one.sha256):
        return None
    reason = tried(one.url, partial(_save, one), stop, pause)
    return None if reason is None else Fault(one.url, reason)


def _save(one: Wanted) -> str | None:
    request = urllib.request.Request(one.url, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
        body = answer.read(_LARGEST + 1)
        if len(body) > _LARGEST:
            return f"is larger than {_LARGEST >> 20} MiB"
        if answer.length:  # what the header promised and did not come
            raise http.client.IncompleteRead(b"", answer.length)
    digest = hashlib.sha256(body).hexdigest()
    if digest != one.sha256:
        return f"has the SHA-256 {digest}, must be {one.sha256}"
    with writing(one.target) as part:
        part.write_bytes(body)
    return None
