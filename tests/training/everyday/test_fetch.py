"""From a host or a mirror to tables of the trainer, and nothing of a test in those that are trained on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.training.everyday.conftest import World
from tests.training.host import Host
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.sources.table import read_table
from vljepa_edge.training.everyday.fetch import fetch, mirror_folder, tables_for
from vljepa_edge.training.everyday.originals import originals
from vljepa_edge.training.everyday.sets import RECIPES, TESTS, TRAINING
from vljepa_edge.training.everyday.tables import TEXTS, make_tables
from vljepa_edge.training.everyday.texts import text_key

ALL = RECIPES["tiny"]


def rows(folder: Path, table: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{table}.jsonl").read_text("utf-8").splitlines()]


def captions(folder: Path, table: str) -> list[str]:
    return [row["caption"] for row in rows(folder, table)]


def check_tables(folder: Path) -> None:
    """What each table must hold: see `world`."""
    assert captions(folder, "coco-train") == [
        "A cat sits on a mat.", "a cat on the floor", "Two dogs run", "a bowl of fruit"
    ]  # fmt: skip
    assert captions(folder, "coco-val") == ["A red bus", "a bus on a street"]
    assert captions(folder, "flickr8k-train") == ["A girl climbs stairs .", "A man waits for a bus ."]
    assert captions(folder, "flickr8k-test") == ["A boy swims .", "A child in a pool ."]
    robots = {table: captions(folder, table) for table in ("robot-train", "robot-test")}
    assert robots["robot-test"][0] == "Open the drawer"
    assert not any("open the drawer" in text.lower() for text in robots["robot-train"])
    assert not any("battery" in text for texts in robots.values() for text in texts)  # that attempt failed
    assert sorted(robots["robot-train"] + robots["robot-test"][1:]) == [
        "Close the drawer", "Move the cup", "Pick Coke can", "Put eggplant into pot"
    ]  # fmt: skip


def test_a_host_and_a_mirror_give_the_same_tables(world: World, host: Host, tmp_path: Path) -> None:
    world.serve(host)
    seen: list[tuple[str, int, int]] = []
    done = fetch(tmp_path / "host", ALL, host=host.url, on_step=lambda *step: seen.append(step))
    assert (done.faults, done.made.missing) == ([], [])
    check_tables(tmp_path / "host")
    assert {step for step in seen if step[1] == step[2]} == {
        ("coco", 4, 4), ("flickr8k", 3, 3), ("video_droid", 4, 4), ("video_openvla", 3, 3)
    }  # fmt: skip
    world.mirror(tmp_path / "mirror")
    done = fetch(tmp_path / "copied", ALL, tmp_path / "mirror")
    assert [fault.reason for fault in done.faults] == ["is not there"]  # its folder of Bridge
    check_tables(tmp_path / "copied")
    assert {name: (table.rows, table.media) for name, table in done.made.tables.items()} == {
        name: (len(rows(tmp_path / "host", name)), len({row["path"] for row in rows(tmp_path / "host", name)}))
        for name in (*TRAINING, *TESTS)
    }


def test_tables_are_read_from_anywhere_and_captions_of_a_photograph_are_right_for_each_other(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.mirror(tmp_path / "mirror")
    monkeypatch.chdir(tmp_path)
    fetch(Path("out"), ["coco"], Path("mirror"))
    monkeypatch.chdir("/")
    table = read_table(tmp_path / "out" / "coco-train.jsonl")
    samples = [table[number] for number in range(len(table))]
    assert all(Path(sample.media).is_absolute() and os.path.getsize(sample.media) for sample in samples)
    assert samples[0].media == samples[1].media != samples[2].media
    assert (samples[0].also, samples[1].also) == ((samples[1].text_key,), (samples[0].text_key,))
    assert samples[2].also == ()
    assert all(sample.text_key == text_key(sample.target) for sample in samples)


def test_nothing_of_a_test_is_trained_on(world: World, tmp_path: Path) -> None:
    """By the hash of the file, by the photograph and by the text; also of a set that is there and not asked for."""
    made = fetch(tmp_path, ALL, world.mirror(tmp_path / "mirror")).made
    assert made.left_out["texts for training that a test has too"] == 2
    for asked in (ALL, ["flickr8k"]):
        make_tables(tmp_path, asked)
        held, trained = ([row for name in names for row in rows(tmp_path, name)] for names in (TESTS, TRAINING))
        for key in ("path", "text_key"):
            assert not {row[key] for row in held} & {row[key] for row in trained}
        contents = [{Path(row["path"]).read_bytes() for row in some} for some in (held, trained)]
        assert not contents[0] & contents[1]


def test_a_file_that_a_test_has_under_another_name_is_left_out(world: World, tmp_path: Path) -> None:
    """The third photograph of COCO is for testing; that the first has its hash is something that the list may hold."""
    object.__setattr__(world.items[0].address, "sha256", world.items[2].address.sha256)
    (tmp_path / "coco" / "images").mkdir(parents=True)
    for item, content in zip(world.items[:4], world.contents, strict=False):
        (tmp_path / "coco" / item.file).write_bytes(content)
    (tmp_path / "coco" / TEXTS).write_text(json.dumps({item.file: [item.file] for item in world.items[:4]}))
    made = make_tables(tmp_path, ["coco"])
    assert made.left_out == {"files for training that a test has too": 1}
    assert captions(tmp_path, "coco-train") == [world.items[1].file, world.items[3].file]


def test_what_is_missing_is_said_and_the_others_are_used(world: World, host: Host, tmp_path: Path) -> None:
    world.serve(host)
    gone = world.items[0].address.url("")
    host.answers[gone] = [(404, b"", {})]
    texts_gone = next(address for address in world.files if address.repo == "texts/video_droid").url("")
    host.answers[texts_gone] = [(404, b"", {})]
    done = fetch(tmp_path, ["coco", "video_droid"], host=host.url)
    assert [fault.file for fault in done.faults] == [host.url + gone, host.url + texts_gone]
    assert done.made.missing == [
        "coco: 1 of 4 files are not here; get them by `vljepa data fetch everyday --only coco`",
        "video_droid: 4 files are here and no text about them",
    ]
    assert set(done.made.tables) == {"coco-train", "coco-val"}
    assert captions(tmp_path, "coco-train") == ["Two dogs run", "a bowl of fruit"]


def test_texts_that_are_there_are_kept_when_their_file_can_t_be_had(world: World, host: Host, tmp_path: Path) -> None:
    fetch(tmp_path, ["coco"], world.mirror(tmp_path / "mirror"))
    for item, content in zip(world.items[:4], world.contents, strict=False):
        host.put(item.address.url(""), content)
    done = fetch(tmp_path, ["coco"], host=host.url)
    assert (len(done.faults), done.made.missing) == (2, [])  # COCO has two files of texts here
    assert captions(tmp_path, "coco-val") == ["A red bus", "a bus on a street"]
    assert rows(tmp_path, "coco-val")[0]["path"].endswith(".jpg")  # the original goes before the mirror's copy


def test_a_fetch_of_what_is_there_asks_for_nothing(world: World, host: Host, tmp_path: Path) -> None:
    world.serve(host)
    fetch(tmp_path, ALL, host=host.url)
    asked = len(host.asked)
    assert asked == len(set(host.asked)) == len(world.items) + len(world.files)
    fetch(tmp_path, ALL, host=host.url)
    assert len(host.asked) == asked


def test_a_recipe_takes_what_is_there_and_says_what_is_not(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VLJEPA_MIRROR", raising=False)
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    made = tables_for("tiny")
    assert made.tables == {}
    assert [line.partition(":")[0] for line in made.missing] == [
        name for name in ALL if originals([name])
    ]  # fmt: skip
    monkeypatch.setenv("VLJEPA_MIRROR", str(world.mirror(tmp_path / "mirror")))
    assert set(tables_for("tiny").tables) == {*TRAINING, *TESTS}
    made = tables_for("tiny-open")
    assert set(made.tables) == {"coco-train", "coco-val", "robot-train", "robot-test"}
    monkeypatch.delenv("VLJEPA_MIRROR")  # what was copied is there
    assert tables_for("tiny-open").tables == made.tables
    assert tables_for("tiny-open", tmp_path / "empty").tables == {}


def test_a_table_goes_when_there_is_nothing_for_it(world: World, tmp_path: Path) -> None:
    fetch(tmp_path, ["coco"], world.mirror(tmp_path / "mirror"))
    for file in (tmp_path / "coco" / "images").iterdir():
        file.unlink()
    assert make_tables(tmp_path, ["coco"]).tables == {}
    assert not (tmp_path / "coco-train.jsonl").exists()


@pytest.mark.parametrize("content", ["{", "[]", '{"a": "b"}', '{"a": [1]}'])
def test_texts_that_are_damaged_are_named(content: str, world: World, tmp_path: Path) -> None:
    (tmp_path / "coco").mkdir()
    (tmp_path / "coco" / TEXTS).write_text(content)
    with pytest.raises(DataError, match=r"texts\.json: .*; remove it and fetch again"):
        make_tables(tmp_path, ["coco"])


def test_a_mirror_must_be_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLJEPA_MIRROR", "")
    assert mirror_folder() is None
    monkeypatch.setenv("VLJEPA_MIRROR", str(tmp_path))
    assert mirror_folder() == tmp_path
    monkeypatch.setenv("VLJEPA_MIRROR", str(tmp_path / "nothing"))
    with pytest.raises(InputError, match=r"VLJEPA_MIRROR must name a folder, got .*nothing"):
        mirror_folder()
