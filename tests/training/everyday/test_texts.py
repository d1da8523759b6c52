"""Texts are read out of the public files that have them, as those files are written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vljepa_edge.errors import DataError
from vljepa_edge.training.everyday.originals import Address, Original, originals
from vljepa_edge.training.everyday.texts import FILES, bridge_task, read_texts, sentence_case, text_key, tidy, unique


def item(set_name: str, file: str, path: str) -> Original:
    return Original(set_name, file, Address("owner/repo", "0" * 40, path, "0" * 64), "", "", "")


def read(set_name: str, place: int, content: str, *items: Original) -> dict[str, list[str]]:
    return read_texts(set_name, items, {FILES[set_name][place].address: content.encode()})


COCO = (item("coco", "images/000000000042.jpg", "x"), item("coco", "images/000000000073.jpg", "x"))


def test_coco_has_annotations_and_a_table() -> None:
    annotations = """{"info": {}, "images": [{"id": 42}], "annotations": [
        {"image_id": 42, "id": 7, "caption": "A wire  rack\\nholds shoes"},
        {"image_id": 9, "id": 8, "caption": "No"}]}"""
    assert read("coco", 0, annotations, *COCO) == {COCO[0].file: ["A wire rack holds shoes"]}
    table = 'image_id,source,prompt,evaluation_seed\n000000000073,coco-30k,"A motorcycle, parked",1\n'
    assert read("coco", 3, table, *COCO) == {COCO[1].file: ["A motorcycle, parked"]}


def test_a_caption_that_two_files_have_is_there_once() -> None:
    files = {
        FILES["coco"][0].address: b'{"annotations": [{"image_id": 42, "caption": "A wire rack."}]}',
        FILES["coco"][3].address: b"image_id,prompt\n000000000042,a wire  rack\n000000000042,Shoes\n",
    }
    assert read_texts("coco", COCO, files) == {COCO[0].file: ["A wire rack.", "Shoes"]}


def test_flickr8k_has_five_numbered_lines_a_photograph() -> None:
    one = item("flickr8k", "images/10_a.jpg", "data/images/10_a.jpg")
    content = "10_a.jpg#0\tA child climbs stairs .\n10_a.jpg#1\tA girl\tat a door .\n2_b.jpg#0\tA dog .\n"
    assert read("flickr8k", 0, content, one) == {one.file: ["A child climbs stairs .", "A girl at a door ."]}


def test_the_page_of_droid_has_an_object_a_clip() -> None:
    one = item("video_droid", "clips/droid_0000.mp4", "visualizer/videos/5/Tue_11:06/2.mp4")
    content = """const all = [
      JSON.parse('{"info": "Put the pot\\u003cbr\\u003e\\u003cbr\\u003eKitchen / Pot / Put", "src": "videos/9/1.mp4"}'),
      JSON.parse('{"info": "Move the mug\\u003cbr\\u003e\\u003cbr\\u003eOffice", "src": "videos/5/Tue_11:06/2.mp4"}')
    ];"""
    assert read("video_droid", 0, content, one) == {one.file: ["Move the mug"]}


def test_the_page_of_openvla_has_the_task_above_a_clip() -> None:
    clips = [item("video_openvla", f"clips/{name}.mp4", f"static/{name}.mp4") for name in "abc"]
    content = """<h4>Rollouts</h4><h5>Put Eggplant into Pot</h5>
      <video><source src="static/a.mp4" type="video/mp4"></video>
      <h5><b>Octo:</b><br>Lift AAA Battery<br>(<i>easy</i>)</h5><h5 style="font-size:30px;">❌</h5>
      <video><source src="static/b.mp4"></video><video><source src="static/c.mp4"></video>"""
    assert read("video_openvla", 0, content, *clips) == {
        "clips/a.mp4": ["Put eggplant into pot"],
        "clips/b.mp4": ["Lift AAA battery"],
        "clips/c.mp4": ["Lift AAA battery"],
    }


@pytest.mark.parametrize(
    ("set_name", "place", "content"),
    [
        ("coco", 0, b"{}"), ("coco", 0, b"<html>"),
        ("coco", 0, b'{"annotations": [{"image_id": null, "caption": "y"}]}'), ("coco", 3, b"a,b\n1,2\n"),
        ("flickr8k", 0, b"no tab"), ("flickr8k", 0, b"\xff\xfe"),
        ("video_droid", 0, b"JSON.parse('{}'),"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(set_name: str, place: int, content: bytes) -> None:
    file = FILES[set_name][place]
    with pytest.raises(DataError, match="has no texts as they are expected") as caught:
        read_texts(set_name, [], {file.address: content})
    assert caught.value.file == f"{file.address.repo}/{file.address.path}"


def test_the_names_of_bridge_say_tasks() -> None:
    paths = [one.address.path for one in originals(["video_bridge"])]
    tasks = {path: bridge_task(path) for path in paths}
    assert tasks["teaser_videos/bridge_data_v1_berkeley_laundry_machine_put_clothes_in_laundry_machine.mp4"] == (
        "put clothes in laundry machine"
    )
    assert tasks["videos_2x/drawer/act_success.mp4"] == "open the drawer"
    assert sum(task is None for task in tasks.values()) == 4
    for path, task in tasks.items():  # a task of a clip's own name has words of that name alone
        if task is not None and path.startswith("teaser_videos/") and "the" not in task.split():
            assert task.replace(" ", "_") in path
            assert not re.search(r"\d|kitchen|berkeley|bridge", task)


def test_capitals_of_a_title_become_those_of_a_sentence() -> None:
    assert sentence_case("Move Coke Can near Taylor Swift") == "Move Coke can near Taylor Swift"
    assert sentence_case("Lift AAA Battery") == "Lift AAA battery"
    assert sentence_case("") == ""


def test_texts_are_equal_word_for_word() -> None:
    assert text_key("A man's dog, running .") == text_key("a MAN's  dog running")
    assert text_key("a red bus") != text_key("a bus")
    assert text_key("Straße") == text_key("STRASSE")


@given(st.lists(st.text(alphabet="aB .,\u00e9\n", max_size=8), max_size=8))
def test_unique_texts_are_the_first_of_each_kind(given_texts: list[str]) -> None:
    kept = unique(given_texts)
    keys = [text_key(text) for text in kept]
    assert set(keys) == {text_key(text) for text in given_texts} - {""}
    assert len(set(keys)) == len(keys)
    firsts = [next(text for text in given_texts if text_key(text) == key) for key in keys]
    assert kept == firsts
    assert unique(kept) == kept


@given(st.text(max_size=30))
def test_a_tidy_text_has_the_same_key(text: str) -> None:
    assert text_key(tidy(text)) == text_key(text)
    assert tidy(tidy(text)) == tidy(text)
