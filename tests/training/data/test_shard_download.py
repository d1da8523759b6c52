"""Shards come from a host completely or not at all, are kept, and are then read as any shards are."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.host import Host
from vljepa_edge.errors import InputError
from vljepa_edge.support.assets import AssetError
from vljepa_edge.training.data.shard_download import ORIGIN, addresses, download_shards
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.tar_index import SUFFIX, members_of
from vljepa_edge.training.data.tries import TRIES


def shard(number: int, samples: int = 2) -> bytes:
    """A tar of samples; what a photo holds is not looked at here."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for sample in range(samples):
            for suffix, body in (("jpg", bytes([number, sample]) * 3000), ("txt", f"text {number} {sample}".encode())):
                entry = tarfile.TarInfo(f"{number:02}{sample:02}.{suffix}")
                entry.size = len(body)
                tar.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def test_a_range_of_shards_is_fetched_indexed_and_read(host: Host, tmp_path: Path) -> None:
    for number in range(8, 11):
        host.put(f"/set/p-{number:03}.tar?a=b", shard(number))
    seen: list[tuple[str, int, int]] = []
    done = download_shards(host.url + "/set/p-{008..010}.tar?a=b", tmp_path / "out", lambda *step: seen.append(step))
    assert (done.shards, done.fetched, done.faults) == (3, 3, [])
    assert done.bytes == sum(len(shard(number)) for number in range(8, 11))
    assert seen and {what for what, _, _ in seen} == {"MB of shards"}
    source = open_source(tmp_path / "out")
    assert [source[i].target for i in range(6)] == [f"text {n} {s}" for n in range(8, 11) for s in range(2)]
    with source.open(source[5]) as file:
        assert file.read() == bytes([10, 1]) * 3000
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name.startswith("p-009")) == sorted(
        ["p-009.tar", "p-009.tar" + SUFFIX, "p-009.tar" + ORIGIN]
    )


def test_complete_shards_are_not_asked_for_again(host: Host, tmp_path: Path) -> None:
    for number in range(2):
        host.put(f"/{number}.tar", shard(number))
    download_shards(host.url + "/{0..1}.tar", tmp_path)
    (tmp_path / "1.tar").write_bytes(shard(1)[:-512])
    done = download_shards(host.url + "/{0..1}.tar", tmp_path)
    assert (done.shards, done.fetched) == (2, 1)
    assert sorted(host.asked) == ["/0.tar", "/1.tar", "/1.tar"]
    assert (tmp_path / "1.tar").read_bytes() == shard(1)


def test_a_file_of_another_origin_is_left_alone(host: Host, tmp_path: Path) -> None:
    host.put("/a.tar", shard(1))
    (tmp_path / "a.tar").write_text("mine")
    done = download_shards(host.url + "/a.tar", tmp_path)
    assert (done.shards, host.asked) == (0, [])
    assert "is there already" in done.faults[0].reason
    assert (tmp_path / "a.tar").read_text() == "mine"


def test_a_transfer_that_broke_off_goes_on_where_it_was(host: Host, tmp_path: Path) -> None:
    body, cut = shard(3), 5000
    host.put("/a.tar", body[:cut], Content_Length=str(len(body)), ETag='"one"')
    rest = f"bytes {cut}-{len(body) - 1}/{len(body)}"
    host.put("/a.tar", body[cut:], 206, Content_Range=rest, ETag='"one"')
    assert download_shards(host.url + "/a.tar", tmp_path, pause=0.0).faults == []
    assert (host.headers[1]["Range"], host.headers[1]["If-Range"]) == (f"bytes={cut}-", '"one"')
    assert (tmp_path / "a.tar").read_bytes() == body
    assert json.loads((tmp_path / f"a.tar{ORIGIN}").read_text()) == {
        "url": host.url + "/a.tar", "bytes": len(body), "etag": '"one"',
    }  # fmt: skip


@pytest.mark.parametrize("etag", ['"two"', 'W/"one"', None])
def test_what_has_changed_meanwhile_or_has_no_name_is_fetched_from_its_beginning(
    host: Host, tmp_path: Path, etag: str | None
) -> None:
    first = {"ETag": '"one"' if etag == '"two"' else etag} if etag is not None else {}
    old, new = shard(3), shard(4)
    host.put("/a.tar", old[:5000], Content_Length=str(len(old)), **first)
    host.put("/a.tar", new, **({} if etag is None else {"ETag": etag}))  # all of it, whatever was asked for
    assert download_shards(host.url + "/a.tar", tmp_path, pause=0.0).faults == []
    assert ("Range" in host.headers[1]) == (etag == '"two"')
    assert (tmp_path / "a.tar").read_bytes() == new


def test_what_is_no_complete_tar_is_not_kept(host: Host, tmp_path: Path) -> None:
    host.put("/0.tar", b"<html>Sign in</html>" * 100)
    host.put("/1.tar", shard(1)[:4000])  # cut off at the host itself
    host.put("/2.tar", shard(2))
    host.put("/4.tar", shard(4)[:4000], Content_Length="9000")  # breaks off at every try
    done = download_shards(host.url + "/{0..4}.tar", tmp_path, pause=0.0)
    assert (done.shards, [fault.file.rpartition("/")[2] for fault in done.faults]) == (
        1, ["0.tar", "1.tar", "3.tar", "4.tar"],
    )  # fmt: skip
    reasons = [fault.reason for fault in done.faults]
    assert "what came" in reasons[0] and "status 404" in reasons[2] and f"broke off {TRIES} times" in reasons[3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2.tar", "2.tar" + SUFFIX, "2.tar" + ORIGIN]
    assert len(members_of(tmp_path / "2.tar")) == 4


def test_a_host_that_cannot_be_reached_ends_it(host: Host, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="can't be reached"):
        download_shards("http://127.0.0.1:9/{0..2}.tar", tmp_path, pause=0.0)
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 300), st.integers(0, 30), st.integers(1, 5), st.integers(0, 3))
def test_ranges_count_up_with_the_digits_of_their_first(first: int, more: int, digits: int, second: int) -> None:
    begin = f"{first:0{digits}}"
    found = addresses(f"https://h/{{0..{second}}}-{{{begin}..{first + more}}}.tar")
    assert len(found) == (more + 1) * (second + 1) == len(set(found))
    for place, url in enumerate(found):
        group, number = url.removeprefix("https://h/").removesuffix(".tar").split("-")
        assert (int(group), int(number)) == (place // (more + 1), first + place % (more + 1))
        assert len(number) == max(len(begin), len(str(int(number))))


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("pipe:cat a.tar", "must begin with https"),
        ("s3://bucket/a.tar", "must begin with https"),
        ("https://h/a.tar.gz", "must end in the name of a .tar"),
        ("https://h/..%2fa.tar", "must end in the name of a .tar"),
        ("https://h/{3..1}.tar", "must go up, got 3..1"),
        ("https://h/{0..9}/a.tar", "different file names"),
        ("https://h/{0..99999}-{0..9}.tar", "at most 100000 shards, got 1000000"),
    ],
)
def test_addresses_that_are_not_allowed(pattern: str, said: str) -> None:
    with pytest.raises(InputError, match=said.replace(".", r"\.")):
        addresses(pattern)


@pytest.mark.parametrize("path", ["https://h/{0..3}.tar", Path("https://h/a.tar"), "pipe:touch ran", "s3://b/a.tar"])
def test_a_run_takes_nothing_from_addresses_and_runs_no_commands(
    path: str | Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for kind in (None, "shards"):
        with pytest.raises(InputError, match=r"must be on this machine.*vljepa data fetch ADDRESS"):
            open_source({"path": path} | ({} if kind is None else {"kind": kind}))
    assert list(tmp_path.iterdir()) == []
