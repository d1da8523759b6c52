"""A bag is a video: each kind, its topics, its two clocks, and what is wrong with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin

from tests.media import flat, number_of
from tests.video.bags import (
    BEGIN,
    COMPRESSED,
    IMAGE,
    SECOND,
    Said,
    compressed,
    image,
    numbered,
    text,
    write_folder,
    write_mcap,
    write_ros1,
)
from vljepa_edge import Bag, Frame
from vljepa_edge.errors import InputError, VideoError
from vljepa_edge.video.source import SourceLike, open_source


def frames_of(source: SourceLike, fps: float | None = None) -> list[Frame]:
    with open_source(source, fps=fps) as frames:
        return list(frames)


def write_sqlite(path: Path, messages: list[Said]) -> Path:
    return write_folder(path, messages, StoragePlugin.SQLITE3)


def write_db3(path: Path, messages: list[Said]) -> Path:
    return next(write_folder(path.with_suffix(""), messages, StoragePlugin.SQLITE3).glob("*.db3"))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("bag.mcap", write_mcap),
        ("folder_mcap", write_folder),
        ("folder_sqlite", write_sqlite),
        ("bag.db3", write_db3),
        ("bag.bag", write_ros1),
    ],
)
def test_each_kind_of_bag_gives_its_images_in_order_at_the_times_of_their_headers(
    name: str, write: object, tmp_path: Path
) -> None:
    path = write(tmp_path / name, numbered(12))  # type: ignore[operator]
    for source in (path, str(path), Bag(path), Bag(path, topic="/camera/image_raw")):
        frames = frames_of(source)
        assert [number_of(frame.image) for frame in frames] == list(range(12))
        assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(12)])


def test_a_bag_is_sampled_by_its_times_as_a_file_is(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "bag.mcap", numbered(30))
    assert [round(frame.time, 6) for frame in frames_of(path, fps=2)] == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_second_0_of_a_bag_is_known_on_the_clock_of_the_world(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "bag.mcap", numbered(3))
    for clock, late in (("header", 0), ("log", 30_000_000)):
        with open_source(Bag(path, clock=clock)) as frames:  # type: ignore[arg-type]
            assert frames.stats.epoch_ns is None
            next(frames)
            assert frames.stats.epoch_ns == BEGIN + late


def test_the_log_s_clock_is_the_recorder_s(tmp_path: Path) -> None:
    messages = [Said("/c", IMAGE, BEGIN + n * SECOND, BEGIN + n * SECOND // 10, image(flat(n))) for n in range(4)]
    path = write_mcap(tmp_path / "bag.mcap", messages)
    assert [frame.time for frame in frames_of(Bag(path, clock="log"))] == [0.0, 1.0, 2.0, 3.0]
    assert [frame.time for frame in frames_of(Bag(path))] == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_jpeg_and_png_topics_are_decoded_and_a_damaged_picture_is_left_out(tmp_path: Path) -> None:
    for kind in ("jpeg", "png"):
        stamps = [BEGIN + number * SECOND // 5 for number in range(5)]
        messages = [Said("/c", COMPRESSED, s, s, compressed(flat(n), kind)) for n, s in enumerate(stamps)]
        messages[2].fields["data"] = messages[2].fields["data"][:20]
        path = write_mcap(tmp_path / f"{kind}.mcap", messages)
        with open_source(path) as source:
            frames = list(source)
        assert [number_of(frame.image) for frame in frames] == [0, 1, 3, 4]
        assert [frame.time for frame in frames] == pytest.approx([0, 0.2, 0.6, 0.8])
        assert source.stats.corrupt == 1


def test_one_of_several_image_topics_must_be_chosen_and_the_error_lists_them(tmp_path: Path) -> None:
    messages = [m for pair in zip(numbered(3, "/left"), numbered(3, "/right"), strict=True) for m in pair]
    path = write_folder(tmp_path / "bag", [*messages, text(BEGIN + SECOND)])
    with pytest.raises(InputError, match="the topic must be chosen") as caught:
        frames_of(path)
    assert "/left (sensor_msgs/msg/Image, 3 messages), /right (sensor_msgs/msg/Image, 3 messages)" in str(caught.value)
    assert "/chatter" not in str(caught.value)
    with pytest.raises(InputError, match=r"must be one with images, got '/chatter'; there are /left"):
        frames_of(Bag(path, topic="/chatter"))
    assert len(frames_of(Bag(path, topic="/right"))) == 3


def test_a_bag_without_images_says_what_it_has(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "bag", [text(BEGIN)])
    with pytest.raises(VideoError, match=r"no topic of sensor_msgs/Image .* it has /chatter \(std_msgs/msg/String\)"):
        frames_of(path)


def test_a_topic_without_messages_has_no_frames(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "bag", [text(BEGIN), *numbered(1)])
    shutil.rmtree(path)
    from rosbags.rosbag2 import Writer

    from tests.video.bags import ROS2

    with Writer(path, version=9) as writer:
        writer.add_connection("/camera", IMAGE, typestore=ROS2)
    with pytest.raises(VideoError, match="no frames in it"):
        frames_of(path)


@pytest.mark.parametrize("keep", [0.0, 0.02, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("kind", ["mcap", "db3", "bag"])
def test_a_bag_that_is_cut_off_is_a_video_error_or_says_so_where_it_ends(
    kind: str, keep: float, tmp_path: Path
) -> None:
    write = {"mcap": write_mcap, "db3": write_db3, "bag": write_ros1}[kind]
    path = write(tmp_path / f"whole.{kind}", numbered(40))
    cut = tmp_path / f"cut.{kind}"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(VideoError) as caught:
        frames_of(cut)
    assert f"cut.{kind}" in str(caught.value)
    if kind == "mcap" and keep:
        assert "cut off or still being written" in str(caught.value)


def test_a_small_step_back_is_a_frame_out_of_order_and_a_large_one_is_an_error(tmp_path: Path) -> None:
    messages = numbered(10)
    messages[4], messages[5] = messages[5]._replace(log=messages[4].log), messages[4]._replace(log=messages[5].log)
    with open_source(write_mcap(tmp_path / "swapped.mcap", messages)) as source:
        assert [number_of(frame.image) for frame in source] == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert source.stats.bad_timestamps == 1

    back = [*numbered(15), *(m._replace(log=m.log + 2 * SECOND) for m in numbered(5))]
    path = write_mcap(tmp_path / "back.mcap", back)
    with open_source(path) as source, pytest.raises(VideoError, match="message 16 of /camera/image_raw") as caught:
        list(source)
    assert "runs backwards by 1.400 s" in str(caught.value) and "--clock log" in str(caught.value)
    assert len(frames_of(Bag(path, clock="log"))) == 20


def test_headers_of_two_clocks_are_an_error_and_a_pause_is_none(tmp_path: Path) -> None:
    messages = numbered(10)
    since_boot = [m._replace(header=m.header - BEGIN + SECOND) if n < 5 else m for n, m in enumerate(messages)]
    path = write_mcap(tmp_path / "two.mcap", since_boot)
    with pytest.raises(VideoError, match=r"message 6 .* are of two clocks: they jump by"):
        frames_of(path)
    assert len(frames_of(Bag(path, clock="log"))) == 10
    paused = [m._replace(header=m.header + 60 * SECOND * (n > 4), log=m.log + 60 * SECOND * (n > 4))
              for n, m in enumerate(messages)]  # fmt: skip
    assert frames_of(write_mcap(tmp_path / "paused.mcap", paused))[-1].time == pytest.approx(60.9)


def test_headers_without_stamps_are_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "bag.mcap", [m._replace(header=0) for m in numbered(3)])
    with pytest.raises(VideoError, match=r"message 1 .*: its header has no stamp; take the time of recording"):
        frames_of(path)
    assert [f.time for f in frames_of(Bag(path, clock="log"))] == pytest.approx([0.0, 0.1, 0.2])


def test_an_image_that_is_too_short_or_of_an_unknown_encoding_names_its_message(tmp_path: Path) -> None:
    short = numbered(3)
    short[1].fields["data"] = short[1].fields["data"][:100]
    with pytest.raises(VideoError, match=r"message 2 of /camera/image_raw: 64 x 48 in rgb8 must have 9216 bytes"):
        frames_of(write_mcap(tmp_path / "short.mcap", short))
    deep = [Said("/d", IMAGE, BEGIN, BEGIN, image(np.zeros((4, 8), np.uint8), "16UC1"))]
    with pytest.raises(VideoError, match=r"message 1 of /d: the encoding must be one of rgb8, .*, got '16UC1'"):
        frames_of(write_mcap(tmp_path / "deep.mcap", deep))


def test_a_message_whose_bytes_end_too_early_is_a_video_error(tmp_path: Path) -> None:
    from mcap.writer import Writer

    from tests.video.bags import DEFINITIONS, serialized

    path = tmp_path / "bag.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2")
        schema = writer.register_schema(IMAGE, "ros2msg", DEFINITIONS[IMAGE].encode())
        channel = writer.register_channel("/camera", "cdr", schema)
        for number, said in enumerate(numbered(2)):
            writer.add_message(channel, said.log, serialized(said)[: None if number == 0 else 60], said.log)
        writer.finish()
    said = "message 2 of /camera: 60 bytes are not a complete sensor_msgs/msg/Image"
    with open_source(path) as source, pytest.raises(VideoError, match=said):
        list(source)
    assert source.stats.frames_yielded == 1


def test_wrong_arguments_are_input_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="clock must be header or log, got 'wall'"):
        Bag("bag.mcap", clock="wall")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the path of a bag must be a path, got 5"):
        Bag(5)  # type: ignore[arg-type]
    with pytest.raises(VideoError, match="no such file or folder"):
        frames_of(tmp_path / "nosuch.mcap")


def test_a_folder_that_lost_its_metadata_says_how_to_get_it_back(tmp_path: Path) -> None:
    path = write_folder(tmp_path / "bag", numbered(3))
    (path / "metadata.yaml").unlink()
    with pytest.raises(
        VideoError, match=r"a folder without metadata.yaml: name a file in it, or run `ros2 bag reindex`"
    ):
        frames_of(path)


def test_a_live_bag_plays_at_its_own_speed_and_gives_its_file_back(tmp_path: Path) -> None:
    path = write_mcap(tmp_path / "bag.mcap", numbered(8))
    with open_source(path, live=True) as source:
        assert number_of(next(source).image) == 0
        assert [frame.time for frame in source][-1] == pytest.approx(0.7)
