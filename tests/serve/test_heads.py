"""Heads by HTTP: clients name them, never a path; what a head says is told; what can't be is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("starlette")

from starlette.testclient import TestClient

from tests.perception.test_head import make_head
from tests.serve.cameras import camera, until
from vljepa_edge.errors import InputError
from vljepa_edge.model import Model
from vljepa_edge.perception.features import encoder_digest
from vljepa_edge.perception.head import Head
from vljepa_edge.serve.app import build_app
from vljepa_edge.serve.hub import Hub
from vljepa_edge.serve.refusal import Refusal
from vljepa_edge.serve.shelf import HeadShelf, head_name, name_heads


def always(model: Model, *labels: str) -> Head:
    """A head whose events are always there."""
    width = model.features(list(camera(1.0, speed=1e6)))[1].shape[1]
    return make_head(
        labels, width, weights=np.zeros((len(labels), width), np.float32), bias=np.ones(len(labels), np.float32),
        slope=0.0, offset=9.0, threshold=0.5, encoder=encoder_digest(model.manifest),
    )  # fmt: skip


@pytest.fixture
def folder(model: Model, tmp_path: Path) -> Path:
    made = tmp_path / "heads"
    made.mkdir()
    always(model, "door opens", "bell rings").save(made / "door.head.npz")
    always(model, "light goes on", "bell rings").save(made / "light.npz")
    replace(always(model, "x", "y"), encoder=64 * "0").save(made / "other.npz")
    (made / "broken.npz").write_bytes(b"no head")
    always(model, "secret", "z").save(tmp_path / "secret.npz")
    return made


@pytest.fixture
def hub(model: Model, folder: Path) -> Iterator[Hub]:
    given = {"given": always(model, "given event", "z")}
    made = Hub(model, shelf=HeadShelf(model, given, folder))
    yield made
    made.close()


@pytest.fixture
def client(hub: Hub) -> TestClient:
    return TestClient(build_app(hub), "http://localhost")


def told(hub: Hub, *statuses: str) -> list[str]:
    records, _ = hub.feed.after(0, 10**6)
    events = (json.loads(record.data) for record in records)
    return [event["text"] for event in events if event["status"] in statuses]


def test_heads_are_given_to_a_new_stream_shown_changed_and_taken_away(
    client: TestClient, hub: Hub, tmp_path: Path
) -> None:
    from tests.media import write_video

    file = str(write_video(tmp_path / "clip.mp4", 600, fps=10))
    added = client.post("/streams", json={"source": file, "name": "a", "heads": ["door", "given"], "hold": 0})
    assert added.status_code == 201, added.text
    assert added.json()["heads"] == [
        {"name": "door", "events": ["door opens", "bell rings"]},
        {"name": "given", "events": ["given event", "z"]},
    ]
    until(lambda: set(told(hub, "began")) == {"door opens", "bell rings", "given event", "z"})
    changed = client.patch("/streams/a", json={"heads": ["light", "given"], "hold": 0}).json()
    assert [head["name"] for head in changed["heads"]] == ["given", "light"]
    assert client.get("/streams/a").json()["heads"] == changed["heads"]
    until(lambda: "light goes on" in told(hub, "began"))
    assert told(hub, "ended") == ["door opens", "bell rings"], "what stays goes on"
    assert client.patch("/streams/a", json={"heads": []}).json()["heads"] == []
    assert sorted(told(hub, "ended")) == sorted(told(hub, "began"))


def test_what_can_not_be_is_refused_and_changes_nothing(client: TestClient, hub: Hub) -> None:
    channel = hub.add(camera(), "a", heads=hub.shelf.take(["door"]), watch=["cup"])
    before = (channel.stream.heads, channel.stream.watched)
    for heads, kind, said in (
        (["nosuch"], "UnknownHead", "there are: broken, door, given, light, other"),
        (["../secret"], "UnknownHead", "no head"),
        (["other"], "HeadError", "other: it was taught with the X-encoder of"),
        (["broken"], "HeadError", "broken: "),
        (["door", "light"], "InputError", "two heads have the event 'bell rings'"),
        (["door", "door"], "InputError", "two heads have the event"),
    ):
        answer = client.patch("/streams/a", json={"heads": heads, "watch": ["dog"]})
        assert answer.status_code == 400 and answer.json()["error"]["type"] == kind, answer.text
        assert said in answer.json()["error"]["message"] and "/heads" not in answer.json()["error"]["message"]
        assert (channel.stream.heads, channel.stream.watched) == before
        added = client.post("/streams", json={"source": "clip.mp4", "heads": heads})
        assert added.status_code == 400 and len(hub.channels) == 1


@given(st.text(max_size=20) | st.sampled_from(["../secret", "/etc/passwd", "a/../door", "..", ".", "door\0", "", "~"]))
def test_no_name_leads_out_of_the_folder(model: Model, tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    shelf = HeadShelf(model, folder=_two_folders(model, tmp_path_factory))
    if name != "door":
        with pytest.raises(Refusal, match="there is no head"):
            shelf.take([name])


_MADE: list[Path] = []


def _two_folders(model: Model, factory: pytest.TempPathFactory) -> Path:
    """A folder with a head, and one beside it; made once."""
    if not _MADE:
        outer = factory.mktemp("heads")
        for file in (outer / "secret.npz", outer / "inner/door.npz"):
            file.parent.mkdir(exist_ok=True)
            always(model, "x", "y").save(file)
        _MADE.append(outer / "inner")
    return _MADE[0]


def test_a_head_that_was_taught_again_is_read_again_and_one_that_was_not_is_the_same(
    model: Model, folder: Path
) -> None:
    shelf = HeadShelf(model, folder=folder)
    (first,) = shelf.take(["door"])
    assert shelf.take(["door"]) == [first] and shelf.name(first) == "door"
    always(model, "gate opens", "y").save(folder / "door.head.npz")
    os.utime(folder / "door.head.npz", (1, 1))
    (second,) = shelf.take(["door"])
    assert second.events == ("gate opens", "y") and shelf.name(second) == "door"


def test_names_are_those_of_files(model: Model, tmp_path: Path) -> None:
    expected = {"door.head.npz": "door", "my.door.npz": "my.door", "door.txt": None, ".npz": None, "a b.npz": None}
    assert {name: head_name(Path("x", name)) for name in expected} == expected
    head: Any = object()
    with pytest.raises(InputError, match="two called 'door'"):
        name_heads([(Path("a/door.npz"), head), (Path("b/door.head.npz"), head)])
    with pytest.raises(InputError, match="the folder of heads must be one"):
        HeadShelf(model, folder=tmp_path / "nosuch")
