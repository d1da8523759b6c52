"""Downloads against a host on this machine: only what has the right hash is kept, and what can't be had is said."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.training.host import Host
from vljepa_edge.support.assets import AssetError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.data.tries import TRIES
from vljepa_edge.training.everyday import download as module
from vljepa_edge.training.everyday.download import Fault, Wanted, download, has_hash

BODY = bytes(range(256)) * 1000  # more than one chunk


def wanted(host: Host, folder: Path, path: str = "/a/b/c.jpg", body: bytes = BODY) -> Wanted:
    return Wanted(host.url + path, folder / Path(path).name, hashlib.sha256(body).hexdigest())


def files(folder: Path) -> list[str]:
    return sorted(place.name for place in folder.rglob("*"))


def test_files_come_in_parallel_and_are_counted(host: Host, tmp_path: Path) -> None:
    bodies = {f"/f/{number}": BODY[number:] for number in range(30)}
    for path, body in bodies.items():
        host.put(path, body)
    seen: list[tuple[int, int]] = []
    out = tmp_path / "not" / "there yet"
    assert download([wanted(host, out, *one) for one in bodies.items()], lambda *step: seen.append(step)) == []
    assert seen == [(number, 30) for number in range(1, 31)]
    assert all((out / str(number)).read_bytes() == BODY[number:] for number in range(30))


def test_what_is_there_is_not_asked_for_again_unless_it_is_damaged(host: Host, tmp_path: Path) -> None:
    host.put("/a/b/c.jpg", BODY)
    one = wanted(host, tmp_path)
    assert download([one]) == download([one]) == []
    assert host.asked == ["/a/b/c.jpg"]
    one.target.write_bytes(BODY[:-1])
    assert download([one]) == []
    assert len(host.asked) == 2
    assert one.target.read_bytes() == BODY


def test_another_file_at_the_address_is_not_kept(host: Host, tmp_path: Path) -> None:
    host.put("/a/b/c.jpg", BODY[1:])
    host.put("/good", BODY)
    one = wanted(host, tmp_path)
    found = download([one, wanted(host, tmp_path, "/good")])
    other = hashlib.sha256(BODY[1:]).hexdigest()
    assert found == [Fault(one.url, f"has the SHA-256 {other}, must be {one.sha256}")]
    assert files(tmp_path) == ["good"]


def test_a_damaged_file_stays_where_nothing_better_comes(host: Host, tmp_path: Path) -> None:
    one = wanted(host, tmp_path)
    one.target.write_bytes(b"mine")
    assert [fault.reason for fault in download([one])] == ["the host answers with status 404 (Not Found)"]
    assert one.target.read_bytes() == b"mine"
    assert len(host.asked) == 1  # there is no use in asking again


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_host_that_is_busy_is_asked_again(host: Host, tmp_path: Path, status: int) -> None:
    host.put("/a/b/c.jpg", b"later", status, Retry_After="0")
    host.put("/a/b/c.jpg", BODY)
    assert download([wanted(host, tmp_path)], pause=0.01) == []
    assert len(host.asked) == 2


def test_a_file_that_breaks_off_is_asked_for_again(host: Host, tmp_path: Path) -> None:
    host.put("/a/b/c.jpg", BODY[:100_000], Content_Length=str(len(BODY)))
    host.put("/a/b/c.jpg", BODY)
    assert download([wanted(host, tmp_path)], pause=0.01) == []
    assert files(tmp_path) == ["c.jpg"]


def test_a_file_that_always_breaks_off_is_a_fault(host: Host, tmp_path: Path) -> None:
    host.put("/a/b/c.jpg", BODY[:100_000], Content_Length=str(len(BODY)))
    (fault,) = download([wanted(host, tmp_path)], pause=0.01)
    assert fault.reason.startswith(f"broke off {TRIES} times")
    assert len(host.asked) == TRIES
    assert files(tmp_path) == []


def test_a_host_that_stays_busy_ends_the_run(host: Host, tmp_path: Path) -> None:
    for number in range(50):
        host.put(f"/f/{number}", b"", 429, Retry_After="0")
    with pytest.raises(AssetError, match=r"127\.0\.0\.1:\d+: asks to come back later \(status 429\)"):
        download([wanted(host, tmp_path, f"/f/{number}") for number in range(50)], pause=0.01)
    assert files(tmp_path) == []


def test_a_host_that_is_not_there_ends_the_run(tmp_path: Path) -> None:
    with socket.socket() as free:  # bound, and nobody listens
        free.bind(("127.0.0.1", 0))
        nobody = Host(f"http://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(AssetError, match=r"127\.0\.0\.1:\d+: can't be reached \(.*refused"):
            download([wanted(nobody, tmp_path, f"/{number}") for number in range(20)], pause=0.01)
    assert files(tmp_path) == []


def test_what_is_too_large_is_not_read_to_its_end(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 70_000)
    host.put("/a/b/c.jpg", BODY)
    (fault,) = download([wanted(host, tmp_path)])
    assert "is larger than" in fault.reason
    assert files(tmp_path) == []


def test_a_full_disk_ends_the_run(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def full(target: Path) -> Iterator[Path]:
        with replacing(target) as part:
            yield part
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module, "replacing", full)
    host.put("/a/b/c.jpg", BODY)
    with pytest.raises(OSError, match="No space left on device") as caught:
        download([wanted(host, tmp_path)])
    assert caught.value.filename == str(tmp_path / "c.jpg")
    assert files(tmp_path) == []


def test_a_run_that_is_ended_goes_on_where_it_was(host: Host, tmp_path: Path) -> None:
    """Ctrl-C comes in the thread that waits, so in the callback."""
    for number in range(200):
        host.put(f"/f/{number}", BODY)
    every = [wanted(host, tmp_path, f"/f/{number}") for number in range(200)]

    def interrupted(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(every, interrupted)
    first = len(host.asked)
    assert 20 <= first < 200  # what was not begun is not begun any more
    there = files(tmp_path)
    assert len(there) >= 20 and all(name.isdecimal() for name in there)
    assert all(has_hash(tmp_path / name, every[0].sha256) for name in there)
    assert download(every) == []
    assert len(host.asked) == first + 200 - len(there)
