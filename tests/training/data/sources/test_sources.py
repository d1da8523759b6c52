"""Folders, Action100M, LeRobot and the future of a source, each written as its own tools write it."""

from __future__ import annotations

import contextlib
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.media import flat, number_of, write_png, write_video
from vljepa_edge.errors import DataError, InputError
from vljepa_edge.training.data.recording import Recordings
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources import kind_of, open_source
from vljepa_edge.training.data.sources.action100m import read_action100m
from vljepa_edge.training.data.sources.folder import read_folder
from vljepa_edge.training.data.sources.future import Future
from vljepa_edge.training.data.sources.lerobot import read_lerobot
from vljepa_edge.training.data.sources.listed import Listed
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(count=2, width=16, height=16)


def all_of(source: Any) -> list[Sample]:
    return [source[index] for index in range(len(source))]


def test_a_folder_takes_captions_from_beside_or_from_the_folders_name(tmp_path: Path) -> None:
    (tmp_path / "open_drawer").mkdir()
    write_video(tmp_path / "open_drawer/b.MP4", 4)
    write_png(tmp_path / "open_drawer/a.png", 8, 8)
    write_png(tmp_path / "top.png", 8, 8)
    (tmp_path / "top.txt").write_text("\ufeffa cat\n\n a dog \n", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a video")
    (tmp_path / ".hidden").mkdir()
    write_png(tmp_path / ".hidden/x.png", 8, 8)
    assert [(sample.key, sample.target, sample.also) for sample in all_of(read_folder(tmp_path))] == [
        ("top.png:1", "a cat", ("a dog",)),
        ("top.png:2", "a dog", ("a cat",)),
        ("open_drawer/a.png", "open drawer", ()),
        ("open_drawer/b.MP4", "open drawer", ()),
    ]


def test_a_folder_without_captions_is_an_error(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", 8, 8)
    with pytest.raises(DataError, match=r"a\.png: has no caption: put it in a\.txt"):
        read_folder(tmp_path)
    (tmp_path / "a.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"a\.txt: has no caption in it"):
        read_folder(tmp_path)
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"a\.txt: can't be read as UTF-8"):
        read_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there are no samples"):
        read_folder(tmp_path / "empty")


def node(number: int, start: float, end: float, level: int, **texts: Any) -> dict[str, Any]:
    """A node of Action100M's preview."""
    gpt = {
        "summary": {"brief": texts.get("brief"), "detailed": texts.get("detailed")},
        "action": {"brief": texts.get("action"), "detailed": None, "actor": "a person"},
    }
    return {
        "start": start, "end": end, "node_id": f"n{number}", "parent_id": None, "level": level,
        "plm_caption": texts.get("plm"), "plm_action": None, "llama3_caption": None, "gpt": gpt,
    }  # fmt: skip


@pytest.fixture
def action100m(tmp_path: Path) -> Path:
    """Two videos, one of which is not there."""
    (tmp_path / "videos/a").mkdir(parents=True)
    write_video(tmp_path / "videos/a/uid1.mp4", 40)
    nodes = [
        node(0, 0.0, 4.0, 0, brief="all of it", plm="a long caption"),
        node(1, 1.0, 3.0, 1, brief="the middle", action="act", plm="the middle"),
        node(2, 3.0, 3.0, 1, brief="nothing"),
        node(3, 3.0, 4.0, 2),
    ]
    rows = [
        {"video_uid": "uid1", "metadata": {"title": "x"}, "nodes": nodes},
        {"video_uid": "uid2", "metadata": {"title": "y"}, "nodes": nodes},
    ]
    (tmp_path / "preview").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "preview/part-0.parquet")
    return tmp_path


def test_action100m(action100m: Path) -> None:
    source = read_action100m(action100m / "preview", action100m / "videos")
    assert [(sample.key, sample.target, sample.start, sample.end) for sample in all_of(source)] == [
        ("uid1/n0/gpt.summary.brief", "all of it", 0.0, 4.0),
        ("uid1/n1/gpt.summary.brief", "the middle", 1.0, 3.0),
    ]
    assert source.left_out == {
        "videos that are not there": 1,
        "nodes without a length": 1,
        "nodes without a text": 1,
    }
    assert [number_of(image) for image in source.frames(source[1], PLAN)] == [15, 25]


def test_action100m_by_levels_and_texts(action100m: Path) -> None:
    texts = ("plm_caption", "gpt.summary.brief", "gpt.action.brief")
    source = read_action100m(action100m / "preview/part-0.parquet", action100m / "videos", texts, levels=[1])
    assert [(sample.target, sample.also) for sample in all_of(source)] == [
        ("the middle", ("act",)),
        ("the middle", ("act",)),
        ("act", ("the middle",)),
    ]
    with pytest.raises(InputError, match="texts of Action100M must be of"):
        read_action100m(action100m / "preview", action100m / "videos", ("gpt.summary",))
    with pytest.raises(DataError, match=r"no samples in it \(2 videos that are not there\)"):
        read_action100m(action100m / "preview", action100m / "preview")


@pytest.fixture
def lerobot(tmp_path: Path) -> Path:
    """Four episodes of two cameras, two and two in a file; the fourth's file of one camera is not there."""
    cameras = ("observation.images.front", "observation.images.wrist")
    info = {
        "codebase_version": "v3.0",
        "fps": 10,
        "total_episodes": 4,
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": {
            **{name: {"dtype": "video", "shape": [48, 64, 3], "names": None} for name in cameras},
            "action": {"dtype": "float32", "shape": [6], "names": None},
        },
    }
    (tmp_path / "meta/episodes/chunk-000").mkdir(parents=True)
    (tmp_path / "meta/info.json").write_text(json.dumps(info))
    tasks = [["pick up the cube"], ["open the drawer", "take the cup"], [], ["pick up the cube"]]
    rows = []
    for episode, texts in enumerate(tasks):
        row = {"episode_index": episode, "tasks": texts, "length": 20, "data/chunk_index": 0, "data/file_index": 0}
        for name in cameras:
            row |= {
                f"videos/{name}/chunk_index": 0,
                f"videos/{name}/file_index": episode // 2,
                f"videos/{name}/from_timestamp": 2.0 * (episode % 2),
                f"videos/{name}/to_timestamp": 2.0 * (episode % 2 + 1),
                f"stats/{name}/min": [0.0],
            }
        rows.append(row)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "meta/episodes/chunk-000/file-000.parquet")
    for camera, name in enumerate(cameras):
        folder = tmp_path / "videos" / name / "chunk-000"
        folder.mkdir(parents=True)
        for file in range(2 - camera):
            write_video(folder / f"file-{file:03}.mp4", [flat(k + 100 * camera) for k in range(40)])
    return tmp_path


def test_lerobot(lerobot: Path) -> None:
    source = read_lerobot(lerobot, "observation.images.front")
    found = [(sample.key, sample.target, sample.start, sample.end, sample.also) for sample in all_of(source)]
    assert found == [
        ("0", "pick up the cube", 0.0, 2.0, ()),
        ("1:1", "open the drawer", 2.0, 4.0, ("take the cup",)),
        ("1:2", "take the cup", 2.0, 4.0, ("open the drawer",)),
        ("3", "pick up the cube", 2.0, 4.0, ()),
    ]
    assert source.left_out == {"episodes without a task": 1}
    assert [number_of(image) for image in source.frames(source[1], PLAN)] == [25, 35]


def test_an_episode_is_a_recording_though_a_file_holds_many(lerobot: Path) -> None:
    source = read_lerobot(lerobot, "observation.images.front")
    assert source[0].media == source[1].media  # the second episode begins where the first ends
    with pytest.raises(DataError, match="no sample has a text that holds 1 s after its end"):
        Future(source, 1.0)
    first, second, again, fourth = (Recordings().digest(sample) for sample in all_of(source))
    assert second == again and len({first, second, fourth}) == 3


def test_lerobot_by_another_camera(lerobot: Path) -> None:
    source = read_lerobot(lerobot, "observation.images.wrist")
    assert [number_of(image) for image in source.frames(source[0], PLAN)] == [105, 115]
    assert len(source) == 3
    assert source.left_out == {"episodes without a task": 1, "episodes without their video": 1}
    with pytest.raises(InputError, match=r"the camera must be chosen; there are: observation\.images\.front, "):
        read_lerobot(lerobot)
    with pytest.raises(InputError, match="the camera can't be 'action'"):
        read_lerobot(lerobot, "action")


def test_lerobot_of_another_version_or_damaged_is_an_error(lerobot: Path) -> None:
    camera = "observation.images.front"
    info = lerobot / "meta/info.json"
    content = json.loads(info.read_text())
    info.write_text(json.dumps({**content, "codebase_version": "v2.1"}))
    with pytest.raises(DataError, match=r"info\.json: codebase_version must be v3\.x, got 'v2\.1'"):
        read_lerobot(lerobot, camera)
    info.write_text(json.dumps({**content, "video_path": "videos/{episode_index}.mp4"}))
    with pytest.raises(DataError, match="row 1: doesn't say which part"):
        read_lerobot(lerobot, camera)
    info.write_text("{")
    with pytest.raises(DataError, match=r"info\.json: can't be read as JSON"):
        read_lerobot(lerobot, camera)
    info.write_text(json.dumps(content))
    table = lerobot / "meta/episodes/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(table).drop_columns(["tasks"]), table)
    with pytest.raises(DataError, match=r"file-000\.parquet"):
        read_lerobot(lerobot, camera)
    table.unlink()
    with pytest.raises(DataError, match="has no meta/episodes"):
        read_lerobot(lerobot, camera)


def steps(*rows: tuple[str, float | None, float | None, str]) -> Listed:
    return Listed("steps", (Sample(str(i), m, text, "what next?", s, e) for i, (m, s, e, text) in enumerate(rows)))


def test_the_future_is_the_text_that_holds_then() -> None:
    source = steps(
        ("a", 0.0, 2.0, "take"),
        ("a", 2.0, 5.0, "cut"),
        ("a", 0.0, 9.0, "cook"),  # longer than what it holds beside
        ("a", 6.0, 7.0, "stir"),
        ("b", 0.0, 2.0, "wait"),
        ("b", 3.0, None, "go"),
        ("c", None, None, "see"),
    )
    found = Future(source, 1.0)
    assert [(sample.key, sample.start, sample.end, sample.target) for sample in all_of(found)] == [
        ("0+1", 0.0, 2.0, "cut"),
        ("1+1", 2.0, 5.0, "stir"),
        ("3+1", 6.0, 7.0, "cook"),
        ("4+1", 0.0, 2.0, "go"),
    ]
    assert {sample.query for sample in all_of(found)} == {"what next?"}
    assert found.left_out == {"samples without a future": 3}
    assert all_of(pickle.loads(pickle.dumps(found))) == all_of(found)
    assert [sample.target for sample in all_of(Future(source, 0.0))][:2] == ["cut", "cook"]


def test_a_future_that_nothing_has_is_an_error() -> None:
    source = steps(("a", 0.0, 2.0, "take"))
    with pytest.raises(DataError, match="no sample has a text that holds 5 s after its end"):
        Future(source, 5.0)
    with pytest.raises(InputError, match="delta must be seconds"):
        Future(source, -1.0)


def test_the_future_shows_what_is_before_it(tmp_path: Path) -> None:
    video = str(write_video(tmp_path / "a.mp4", 40))
    found = Future(steps((video, 0.0, 2.0, "take"), (video, 2.0, 4.0, "cut")), 0.5)
    assert [number_of(image) for image in found.frames(found[0], PLAN)] == [5, 15]


def test_what_a_path_is_decides_its_kind(tmp_path: Path, action100m: Path, lerobot: Path) -> None:
    (tmp_path / "a.csv").write_text("path,caption\nx.mp4,y\n")
    (tmp_path / "tars").mkdir()
    (tmp_path / "tars/0.tar").write_bytes(b"")
    assert kind_of(tmp_path / "a.csv") == "table"
    assert kind_of(tmp_path / "tars") == kind_of(tmp_path / "tars/0.tar") == "shards"
    assert kind_of(action100m / "preview") == kind_of(action100m / "preview/part-0.parquet") == "action100m"
    assert kind_of(lerobot) == "lerobot"
    assert kind_of(action100m / "videos") == "folder"
    with pytest.raises(DataError, match="no such file or folder"):
        kind_of(tmp_path / "nothing")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"must be a folder, or end in \.csv"):
        kind_of(tmp_path / "a.txt")


def test_a_source_is_opened_by_its_spec(tmp_path: Path, action100m: Path) -> None:
    (tmp_path / "a.csv").write_text("path,start,end,caption\nx.mp4,0,1,y\nx.mp4,1,2,z\n")
    assert open_source(tmp_path / "a.csv").name == str(tmp_path / "a.csv")
    assert open_source({"path": str(tmp_path / "a.csv"), "future": 0.5})[0].target == "z"
    spec = {"path": action100m / "preview", "videos": action100m / "videos", "levels": [0]}
    assert len(open_source(spec)) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": ""}, "a source must have a path"),
        ({"kind": "zip"}, "the kind of a source must be one of"),
        ({"camera": "front"}, "kind table takes no options, got camera"),
        ({"kind": "lerobot", "videos": "x"}, "kind lerobot takes camera, got videos"),
        ({"kind": "action100m"}, "needs videos"),
        ({"future": True}, "future must be seconds"),
    ],
)
def test_a_spec_that_is_not_allowed_is_an_error(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    (tmp_path / "a.csv").write_text("path,caption\nx.mp4,y\n")
    with pytest.raises(InputError, match=said):
        open_source({"path": str(tmp_path / "a.csv"), **change})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["t.parquet", "t.jsonl", "t.csv", "t.tar"]), damage=st.data())
def test_damage_is_a_data_error_or_does_no_harm(tmp_path: Path, name: str, damage: st.DataObject) -> None:
    """Cut off, overwritten or with bytes put in, a source opens or says that it can't."""
    rows = [{"path": "a.mp4", "start": 0.0, "end": 1.0, "caption": f"x {i}", "negatives": ["a"]} for i in range(4)]
    file = tmp_path / name
    if name == "t.parquet":
        pq.write_table(pa.Table.from_pylist(rows), file)
    elif name == "t.jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif name == "t.csv":
        file.write_text("path,start,end,caption\n" + "".join(f"a.mp4,0,,x {i}\n" for i in range(4)))
    else:
        (tmp_path / "k.txt").write_text("a caption")
        with tarfile.open(file, "w") as tar:
            tar.add(write_png(tmp_path / "k.png", 8, 8), "k.png")
            tar.add(tmp_path / "k.txt", "k.txt")
    data = bytearray(file.read_bytes())
    at = damage.draw(st.integers(0, len(data) - 1))
    match damage.draw(st.sampled_from(["cut", "overwrite", "insert"])):
        case "cut":
            del data[at:]
        case "overwrite":
            data[at : at + 4] = damage.draw(st.binary(min_size=1, max_size=4))
        case _:
            data[at:at] = damage.draw(st.binary(min_size=1, max_size=40))
    file.write_bytes(data)
    with contextlib.suppress(DataError):
        all_of(open_source(file))


def test_the_sources_of_the_document_are_allowed(tmp_path: Path, action100m: Path, lerobot: Path) -> None:
    text = (Path(__file__).parents[4] / "docs/training-data.md").read_text(encoding="utf-8")
    specs = yaml.safe_load(text.split("```\ndata:\n")[1].split("```")[0])
    (tmp_path / "clips.csv").write_text("path,caption\nx.mp4,y\n")
    (tmp_path / "robot-data").symlink_to(lerobot)
    (tmp_path / "action100m").symlink_to(action100m)
    assert len(specs) == 3
    for spec in specs.values():
        paths = {name: tmp_path / spec[name] for name in ("path", "videos") if name in spec}
        assert len(open_source({**spec, **paths})) > 0
