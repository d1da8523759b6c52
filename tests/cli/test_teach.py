"""`vljepa teach` makes a head from folders or a table of clips, says how good it is, and never costs a user a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Vljepa, write_photo, write_video
from tests.media import write_video as write_frames
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.perception.head import Head

COLOURS = {"gets red": (225, 30, 30), "gets blue": (30, 30, 225), "nothing": (120, 120, 120)}
COUNT = 5


def write_clips(folder: Path, labels: tuple[str, ...] = tuple(COLOURS)) -> Path:
    """A folder of clips for each label: a grey second, then a second of its colour, a little different each time."""
    rng = np.random.default_rng(0)
    for label in labels:
        (folder / label).mkdir(parents=True)
        for number in range(COUNT):
            grey, end = rng.integers(100, 140), np.array(COLOURS[label]) + rng.integers(-20, 20, 3)
            frames = [np.full((48, 64, 3), grey if i < 8 else end, np.uint8) for i in range(20)]
            write_frames(folder / label / f"{number}.mp4", frames, fps=8)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clips(tmp_path_factory.mktemp("taught") / "clips")


def test_a_head_is_made_and_its_accuracy_is_printed(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.head.npz"
    run = vljepa("teach", clips, "--out", out)
    assert run.status == 0 and not run.err
    head = Head.load(out)
    assert head.labels == ("gets blue", "gets red", "nothing") and head.clips == (COUNT,) * 3
    lines = run.out.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["gets", "blue"], ["gets", "red"]]
    assert f"accuracy {100 * head.accuracy:.1f} % +- {100 * head.spread:.1f} % from fold to fold" in run.out
    assert "add clips, 10 or more of each label: gets blue, gets red, nothing" in run.out
    assert "a folder `nothing`" not in run.out
    assert f"vljepa stream SOURCE --head {out}" in lines[-1]


def test_json_says_the_same_as_the_head(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    out = tmp_path / "my.head.npz"
    found = vljepa("teach", clips, "--out", out, "--json").json
    head = Head.load(out)
    assert [item["label"] for item in found["labels"]] == list(head.labels)
    assert [item["recall"] for item in found["labels"]] == pytest.approx(head.recall.tolist(), abs=1e-4)
    for name in ("accuracy", "spread", "threshold"):
        assert found[name] == pytest.approx(getattr(head, name), abs=1e-4)
    np.testing.assert_allclose(np.sum(found["confusion"], 1), head.clips, atol=0.02)
    assert found["out"] == str(out) and found["skipped"] == [] and found["videos_apart"] is True
    again = vljepa("teach", clips, "--out", out, "--json")  # a head is replaced
    assert again.status == 0 and again.json["accuracy"] == found["accuracy"]


def test_a_table_of_stretches_does_as_well(vljepa: Vljepa, video: Path, tmp_path: Path) -> None:
    other = write_video(tmp_path / "other.mp4", 9)
    rows = [f"{path},{start},{start + 2.9},{label}" for path in (video, other)
            for start, label in ((0, "red"), (3, "green"), (6, "blue"))]  # fmt: skip
    (tmp_path / "clips.csv").write_text("path,start,end,label\n" + "\n".join(rows))
    found = vljepa("teach", tmp_path / "clips.csv", "--out", tmp_path / "a.npz", "--json").json
    assert found["accuracy"] == 1 and [item["clips"] for item in found["labels"]] == [2, 2, 2]
    assert any("nothing" in text for text in found["next"])


def test_a_wrong_label_and_a_broken_clip_are_pointed_at(vljepa: Vljepa, tmp_path: Path) -> None:
    folder = write_clips(tmp_path / "clips", ("gets red", "gets blue"))
    (folder / "gets red" / "0.mp4").rename(folder / "gets blue" / "wrong.mp4")
    (folder / "gets blue" / "broken.mp4").write_bytes(b"no video")
    run = vljepa("teach", folder, "-o", tmp_path / "a.npz")
    assert run.status == 0
    wrong = f"{folder / 'gets blue' / 'wrong.mp4'}: gets blue or gets red?"
    assert wrong in run.out and str(folder / "gets blue" / "broken.mp4") in run.out.split("skipped:")[1]
    assert run.err.count("warning: left out: ") == 1
    found = vljepa("teach", folder, "-o", tmp_path / "a.npz", "--json").json
    assert found["doubts"][0]["clip"].endswith("wrong.mp4") and len(found["warnings"]) == 1
    for name in ("b", "c"):
        (folder / "gets red" / f"{name}.mp4").write_bytes(b"")
    run = vljepa("teach", folder, "-o", tmp_path / "b.npz")
    assert run.status == 2 and "3 of 13 clips can't be read" in run.err and not (tmp_path / "b.npz").exists()


def test_only_a_head_is_ever_replaced(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis.npz"
    np.savez(other, a=np.arange(3))
    before = other.read_bytes()
    run = vljepa("teach", clips, "--out", other)
    assert run.status == 2 and "is there and is no head" in run.err and other.read_bytes() == before
    run = vljepa("teach", clips, "--out", tmp_path / "none" / "a.npz")
    assert run.status == 2 and "is no folder" in run.err


@pytest.mark.parametrize("place", ["none", "empty", "none.csv", "photo.png"])
def test_what_holds_no_clips_is_named(vljepa: Vljepa, tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    write_photo(tmp_path / "photo.png", (1, 2, 3))
    run = vljepa("teach", tmp_path / place, "--out", tmp_path / "a.npz")
    assert run.status == 2 and str(tmp_path / place) in run.err and run.err.count("\n") == 1


def test_another_bundle_has_heads_too(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    bundle = write_toy_bundle(tmp_path / "vjepa", vjepa=True)
    found = vljepa("teach", clips, "--out", tmp_path / "a.npz", "--model", bundle, "--json").json
    assert found["accuracy"] >= 0.8


def test_a_stream_tells_of_the_events_of_heads(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    head = tmp_path / "my.head.npz"
    assert vljepa("teach", clips, "--out", head).status == 0
    colours = [(120, 120, 120)] * 32 + [(225, 30, 30)] * 40 + [(120, 120, 120)] * 32
    write_frames(tmp_path / "day.mp4", [np.full((48, 64, 3), colour, np.uint8) for colour in colours], fps=8)
    *events, summary = vljepa("stream", tmp_path / "day.mp4", "--head", head, "--json").json_lines
    red = [event for event in events if event["text"] == "gets red"]
    assert [event["status"] for event in red] == ["began", "ended"]
    assert abs(red[0]["start"] - 4) < 1.5 and red[1]["confidence"] > 0.5 and summary["decodes"] == 0
    assert {event["status"] for event in events} == {"began", "ended"}, "nothing else is asked"
    lines = vljepa("stream", tmp_path / "day.mp4", "--head", head).out.splitlines()
    assert any("gets red began" in line and "% sure" in line for line in lines)
    asked = vljepa("stream", tmp_path / "day.mp4", "--head", head, "-q", "What?", "--json").json_lines[:-1]
    assert {event["status"] for event in asked} == {"began", "ended", "closed"}
    longer = vljepa("stream", tmp_path / "day.mp4", "--head", head, "--hold", "60", "--json").json_lines
    assert len(longer) == 1

    twice = vljepa("stream", tmp_path / "day.mp4", "--head", head, "--head", head)
    assert twice.status == 2 and "has the event 'gets blue' already" in twice.err
    other = write_toy_bundle(tmp_path / "other", seed=1)
    refused = vljepa("stream", tmp_path / "day.mp4", "--head", head, "--model", other)
    assert refused.status == 2 and f"{head}: it was taught with the X-encoder of toy 0" in refused.err
    head.write_bytes(head.read_bytes()[:-500])
    broken = vljepa("stream", tmp_path / "day.mp4", "--head", head)
    assert broken.status == 2 and str(head) in broken.err


def test_a_head_that_can_not_be_saved_is_said_before_the_work(vljepa: Vljepa, clips: Path, tmp_path: Path) -> None:
    run = vljepa("teach", clips, "--out", "/proc/my.head.npz", "--model", tmp_path / "no-bundle")
    assert run.status == 2 and "/proc/my.head.npz can't be written" in run.err
