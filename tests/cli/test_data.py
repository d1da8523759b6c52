"""`vljepa data`: what is wrong with training data is said before a run, and good data is packed; it can be fetched."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.cli.conftest import Vljepa, write_photo, write_video
from tests.training.host import serving
from vljepa_edge.training.everyday.originals import originals


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Two good samples, one of a file that is none, and a row without a caption."""
    write_video(tmp_path / "a.mp4", 4)
    write_photo(tmp_path / "b.png", (9, 9, 9))
    (tmp_path / "c.mp4").write_text("words")
    rows = [{"path": name, "caption": name} for name in ("a.mp4", "b.png", "c.mp4")] + [
        {"path": "a.mp4", "caption": ""}
    ]
    file = tmp_path / "clips.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def keep(table: Path, lines: int) -> None:
    table.write_text("\n".join(table.read_text().splitlines()[:lines]))


def test_faults_are_said_and_end_with_status_1(vljepa: Vljepa, table: Path) -> None:
    run = vljepa("data", "check", table)
    assert run.status == 1
    assert f"{table}, line 4: caption must be a text, got an empty one" in run.out
    assert f"{table}, sample 3: " in run.out
    assert "3 samples, 3 different texts, 0 queries, 2 faults" in run.out
    run = vljepa("data", "check", table, "--json")
    assert run.status == 1
    assert [fault["place"] for fault in run.json["faults"]] == ["line 4", "sample 3"]
    assert run.json["seconds"]["most"] == pytest.approx(4.0)


def test_good_data_ends_with_status_0_and_is_packed(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    keep(table, 2)
    run = vljepa("data", "check", table)
    assert (run.status, run.out.splitlines()[0]) == (0, "2 samples, 2 different texts, 0 queries, 0 faults")
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed", "--samples", "1", "--json")
    assert (run.status, run.json["shards"], run.json["samples"], run.json["faults"]) == (0, 2, 2, [])
    assert vljepa("data", "check", tmp_path / "packed").status == 0
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed")
    assert run.status == 2
    assert "is there already" in run.err


def test_packing_says_what_it_left_out(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    keep(table, 3)
    run = vljepa("data", "pack", table, "--out", tmp_path / "packed")
    assert run.status == 1
    assert "sample 3: " in run.err
    assert "2 samples in 1 shards" in run.out


def test_data_that_cannot_be_opened_ends_with_status_2(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    for arguments, said in (
        ((tmp_path / "nothing.csv",), "no such file or folder"),
        ((table, "--camera", "front"), "takes no options, got camera"),
        ((table, "--kind", "zip"), "the kind of a source must be one of"),
    ):
        run = vljepa("data", "check", *arguments)
        assert run.status == 2
        assert said in run.err


# --- fetch ---


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mirror with the first two photographs of COCO, one of them damaged, made again of one colour."""
    folder = tmp_path / "mirror" / "coco"
    folder.mkdir(parents=True)
    rows = []
    for number, item in enumerate(originals(["coco"])[:2]):
        write_photo(folder / f"{number}.png", (9, 9, number))
        address = item.address
        rows.append(
            {"file": f"{number}.png", "source_repo": f"github:{address.repo}", "commit": address.commit}
            | {"path": address.path, "sha256_original": address.sha256, "captions": [f"Caption {number}"]}
        )
    (folder / "1.png").write_bytes((folder / "1.png").read_bytes()[:50])
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.setenv("VLJEPA_MIRROR", str(folder.parent))
    return folder.parent


def test_what_could_not_be_fetched_is_said(vljepa: Vljepa, mirror: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run = vljepa("data", "fetch", "everyday", "--out", out, "--only", "coco")
    assert run.status == 1
    errors = run.err.splitlines()
    assert errors[0].startswith(f"error: {mirror / 'coco' / '1.png'}: ")
    assert (len(errors), errors[-1]) == (11, "error: and 1908 more files")
    assert f"{out / 'coco-dev.jsonl'}: 1 texts of 1 files" in run.out
    assert "missing: coco: 1918 of 1919 files are not here; get them by `vljepa data fetch" in run.out
    assert "captions CC BY 4.0 (COCO Consortium)" in run.out
    run = vljepa("data", "fetch", "everyday", "--out", out, "--only", "coco", "--json")
    assert run.status == 1
    assert run.json["tables"] == {"coco-dev": {"path": str(out / "coco-dev.jsonl"), "rows": 1, "media": 1}}
    assert (len(run.json["faults"]), len(run.json["terms"])) == (1918, 1)
    assert vljepa("data", "check", out / "coco-dev.jsonl").status == 0


def test_what_there_is_to_fetch_is_named(vljepa: Vljepa, tmp_path: Path) -> None:
    run = vljepa("data", "fetch", "everything", "--out", tmp_path)
    said = "error: what to fetch must be everyday or the address of tars, got 'everything'\n"
    assert (run.status, run.err) == (2, said)
    run = vljepa("data", "fetch", "everyday", "--only", "coco, imagenet", "--out", tmp_path)
    assert run.status == 2
    assert "one of coco, flickr8k, video_droid, video_bridge, video_openvla, video_demo; got 'imagenet'" in run.err


def test_no_network_ends_with_status_1(vljepa: Vljepa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLJEPA_MIRROR", raising=False)
    monkeypatch.setattr("vljepa_edge.training.data.tries.TRIES", 1)
    with socket.socket() as nobody:  # a proxy that does not listen
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        run = vljepa("data", "fetch", "everyday", "--out", tmp_path, "--only", "video_demo")
    assert run.status == 1
    assert "error: raw.githubusercontent.com: can't be reached" in run.err


def test_tars_at_an_address_are_fetched_into_a_folder(vljepa: Vljepa, table: Path, tmp_path: Path) -> None:
    keep(table, 2)
    vljepa("data", "pack", table, "--out", tmp_path / "packed", "--samples", "1")
    out = tmp_path / "shards"
    with serving() as host:
        for number in range(2):
            host.put(f"/{number:06}.tar", (tmp_path / "packed" / f"{number:06}.tar").read_bytes())
        run = vljepa("data", "fetch", host.url + "/{000000..000001}.tar", "--out", out)
        assert (run.status, run.out.split(";")[1]) == (0, " 2 were fetched now\n")
        run = vljepa("data", "fetch", host.url + "/{000000..000002}.tar", "--out", out, "--json")
    assert (run.status, run.json["shards"], run.json["fetched"], len(run.json["faults"])) == (1, 2, 0, 1)
    assert "000002.tar: the host answers with status 404" in run.err
    assert vljepa("data", "check", out).status == 0
    assert vljepa("data", "fetch", host.url + "/0.tar").status == 2
