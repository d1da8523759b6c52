"""The adapters of retrieval, of transitions and of what comes next: what they read, and figures by other means."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, top_k_accuracy_score

from tests.evaluation import made_up_videos as made
from tests.evaluation.embedders import vector
from tests.evaluation.made_up import coin, write, write_csv
from tests.evaluation.made_up_videos import COUNT, THINGS, write_lines
from vljepa_edge.errors import DataError
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Anticipation, Change, Classification, Media, Retrieval, Transitions
from vljepa_edge.evaluation.measure import measure

# By benchmark: for each video its stem and, of a clip, where it starts, and what is said of it.
PAIRS: dict[str, list[tuple[str, float | None, str]]] = {
    "msrvtt": [(f"video{9000 + n}", None, f"a {THINGS[2 if n == 5 else n]} is shown") for n in range(COUNT)],
    "msrvtt_full": [(f"video{n}", None, f"{how} {t} is shown") for n, t in enumerate(THINGS) for how in ("a", "some")],
    "activitynet": [
        (f"v_a-_{n}", None, f"A {thing} is seen. It is put on the {THINGS[n - 1]}.") for n, thing in enumerate(THINGS)
    ],
    "didemo": [(f"1{n}@N00_3.5_{n}ab", 0.0, f"the {t} moves. we see a {t}") for n, t in enumerate(THINGS)],
    "msvd": [
        *((f"-a_b{n}_{n}_{n + 7}", None, text) for n, t in enumerate(THINGS)
          for text in (f"a {t} falls", f"the {t} is on the floor")),
        ("-a_b0_0_7", None, "a door falls"),
    ],
    "youcook2": [*((f"y-_{n // 4}", float(n), f"wash the {t}") for n, t in enumerate(THINGS)),
                 ("y-_0", 0.0, "rinse the cup")],
    "pvd_bench": [(f"{n:08x}", None, f"The video shows a {t}, and then a hand.") for n, t in enumerate(THINGS)],
    "dream1k": [(str(n), None, f"A person lifts a {t}.") for n, t in enumerate(THINGS, 1)],
    "vdc": [(f"{n:08x}-1f6e-4977", None, f"A detailed text of a {t}.") for n, t in enumerate(THINGS)],
}  # fmt: skip
OTHERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "MSR-VTT's other header": ("msrvtt", lambda folder: made.msrvtt(folder, "sentences")),
    "MSVD's table": ("msvd", made.msvd_table),
    "YouCook2's database": ("youcook2", made.youcook2_database),
    "PVD-Bench's shards": ("pvd_bench", made.pvd_bench_shards),
    "DREAM-1K's list": ("dream1k", made.dream1k_list),
    "VDC of aurora": ("vdc", made.vdc_of_aurora),
}


class Guesses:
    """Sees something of the truth in each thing, and a lot that isn't there."""

    digest = "guesses"

    def __init__(self, truth: Callable[[Media], str]) -> None:
        self._truth = truth

    def embed_media(self, looks: Sequence[Look]) -> Array:
        return np.stack([self._see(look) for look in looks])

    def _see(self, look: Look) -> Array:
        if isinstance(look.seen, Change):
            return vector(look.seen.before.path.name)
        named = f"{look.seen.path.name} {look.seen.start} {look.seen.end}"
        return 0.75 * vector(named) + 0.25 * vector(self._truth(look.seen))

    def embed_texts(self, texts: Sequence[str], prompt: bool = True) -> Array:
        return np.stack([vector(text) for text in texts])

    def decode(self, embeddings: Array) -> list[str]:
        raise NotImplementedError


def read(name: str, folder: Path, writer: Callable[[Path], None] | None = None) -> Any:
    (writer or made.WRITERS[name])(folder)
    return BENCHMARKS[name].task(folder)


def stem(media: Media) -> str:
    return media.path.name.removesuffix(media.path.suffix)


@pytest.mark.parametrize("name", PAIRS)
def test_each_video_has_its_texts(name: str, tmp_path: Path) -> None:
    task: Retrieval = read(name, tmp_path)
    found = [(stem(item.media), item.media.start, text) for item in task.items for text in item.texts]
    assert sorted(found, key=str) == sorted(PAIRS[name], key=str)
    assert len({item.media for item in task.items}) == len(task.items) == COUNT, "no video is there twice"


@pytest.mark.parametrize("layout", OTHERS)
def test_another_published_layout_says_the_same(layout: str, tmp_path: Path) -> None:
    name, writer = OTHERS[layout]
    task: Retrieval = read(name, tmp_path, writer)
    found = {(stem(item.media), item.media.start, text) for item in task.items for text in item.texts}
    assert found == set(PAIRS[name]) - {("y-_0", 0.0, "rinse the cup")}


@pytest.mark.parametrize("name", PAIRS)
def test_figures_of_retrieval_are_those_of_a_sorted_list(name: str, tmp_path: Path) -> None:
    pairs = PAIRS[name]
    embedder = Guesses(lambda media: next(t for s, start, t in pairs if (s, start) == (stem(media), media.start)))
    task = read(name, tmp_path)
    videos = [item.media for item in task.items]
    rows = embedder.embed_media([Look(video) for video in videos]).astype(np.float64)
    ranks = []
    for _, _, text in pairs:
        right = {(s, start) for s, start, other in pairs if other == text}
        cosines = rows @ vector(text) / np.linalg.norm(rows, axis=1)
        order = [(stem(videos[place]), videos[place].start) for place in np.argsort(-cosines)]
        ranks.append(next(rank for rank, video in enumerate(order) if video in right))
    expected = {f"R@{k}": 100 * np.mean(np.array(ranks) < k) for k in (1, 5, 10)}
    assert measure(task, embedder) == pytest.approx({**expected, "median rank": float(np.median(ranks)) + 1})
    assert 0 < expected["R@1"] < 100, "neither all nor none, or the test says little"


def test_endings_of_didemo_are_not_part_of_a_video_s_name(tmp_path: Path) -> None:
    made.didemo(tmp_path)
    for name in ("10@N00_3.5_0ab.mp4", "11@N00_3.5_1ab.", "14@N00_3.5_4ab.WMV", "15@N00_3.5_5ab"):
        write(tmp_path / "videos" / name, "")
    found = [item.media.path for item in BENCHMARKS["didemo"].task(tmp_path).items]
    assert [path.name for path in found if path.exists()] == [
        "10@N00_3.5_0ab.mp4", "11@N00_3.5_1ab.", "14@N00_3.5_4ab.WMV", "15@N00_3.5_5ab"
    ]  # fmt: skip
    assert len(found) == COUNT, "two endings of one name are one video"


def test_a_preview_is_not_taken_for_its_video(tmp_path: Path) -> None:
    made.pvd_bench(tmp_path)
    for name in ("previews/00000000.jpg", "videos/00000000.mp4", "videos/00000000.webp", "videos/00000001.png"):
        write(tmp_path / name, "")
    found = [item.media.path for item in BENCHMARKS["pvd_bench"].task(tmp_path).items]
    assert found[:2] == [tmp_path / "videos" / "00000000.mp4", tmp_path / "00000001.mp4"]


def test_what_is_hidden_and_links_that_lead_nowhere_stand_in_for_no_video(tmp_path: Path) -> None:
    made.pvd_bench(tmp_path)
    for name in (".Trash-1000/00000000.mp4", "videos/00000000.mp4", "videos/._00000001.mp4", "videos/00000001.mp4"):
        write(tmp_path / name, "")
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "00000001.mp4").symlink_to(tmp_path / "gone.mp4")
    found = [item.media.path for item in BENCHMARKS["pvd_bench"].task(tmp_path).items[:2]]
    assert found == [tmp_path / "videos" / "00000000.mp4", tmp_path / "videos" / "00000001.mp4"]


def test_shards_of_pvd_bench_may_be_links(tmp_path: Path) -> None:
    made.pvd_bench_shards(tmp_path / "data")
    count = len(BENCHMARKS["pvd_bench"].task(tmp_path / "data").items)
    (tmp_path / "data" / "test").rename(tmp_path / "elsewhere")
    (tmp_path / "data" / "test").mkdir()
    (tmp_path / "data" / "test" / "0").symlink_to(tmp_path / "elsewhere")
    assert len(BENCHMARKS["pvd_bench"].task(tmp_path / "data").items) == count > 0


def test_of_a_video_of_didemo_only_what_people_saw_is_seen(tmp_path: Path) -> None:
    task: Retrieval = read("didemo", tmp_path)
    assert {(item.media.start, item.media.end) for item in task.items} == {(0.0, 30.0)}


def test_a_video_of_msvd_without_a_caption_is_named(tmp_path: Path) -> None:
    made.msvd(tmp_path)
    with (tmp_path / "test_list.txt").open("a") as file:
        file.write("silent_0_9\n")
    with pytest.raises(DataError, match=r"1 of its videos have no caption, e\.g\. silent_0_9"):
        BENCHMARKS["msvd"].task(tmp_path)


def test_the_clip_of_an_anticipation_ends_before_the_action_begins(tmp_path: Path) -> None:
    task: Anticipation = read("epic_anticipation", tmp_path)
    with (tmp_path / "EPIC_100_validation.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if (row["verb_class"], row["noun_class"]) != ("1", "3")]
    assert len(task.items) == 4 * len(rows) == 40, "a pair that isn't in the training set is left out"
    for place, item in enumerate(task.items):
        row, ahead = rows[place // 4], (1, 2, 4, 10)[place % 4]
        minutes, seconds = row["start_timestamp"].split(":")[1:]
        onset = 60 * int(minutes) + float(seconds)
        assert item.group == f"{ahead} s" and item.media.path.name == f"{row['video_id']}.MP4"
        assert item.media.start is not None and item.media.end is not None
        if onset - ahead > 0.1:
            assert item.media.end == pytest.approx(onset - ahead)
            assert item.media.start == pytest.approx(max(0.0, onset - ahead - 4.0))
        else:
            assert (item.media.start, item.media.end) == (0.0, 0.1), "the first frame of the video"
        verb, noun = ("open", "turn on")[int(row["verb_class"])], int(row["noun_class"])
        assert task.labels[item.label] == (f"{verb} {('tap', 'bin', 'hob', 'chopping board')[noun]}",)


def test_recall_of_anticipation_is_scikit_learn_s_balanced_accuracy(tmp_path: Path) -> None:
    task: Anticipation = read("epic_anticipation", tmp_path)
    truth = {item.media: task.labels[item.label][0] for item in task.items}
    embedder = Guesses(lambda media: truth[media])
    figures = measure(task, embedder)
    classes = embedder.embed_texts([text for (text,) in task.labels])
    for ahead in (1, 2, 4, 10):
        items = [item for item in task.items if item.group == f"{ahead} s"]
        scores = embedder.embed_media([Look(item.media) for item in items]) @ classes.T
        right = np.array([item.label for item in items])
        best = np.argsort(-scores, axis=1)[:, :5]
        answered = np.where((best == right[:, None]).any(1), right, best[:, 0])
        expected = 100 * balanced_accuracy_score(right, answered)
        assert figures[f"recall@5, {ahead} s"] == pytest.approx(expected)
        top = 100 * top_k_accuracy_score(right, scores, k=1, labels=range(len(task.labels)))
        assert figures[f"top-1, {ahead} s"] == pytest.approx(top)


def test_the_next_step_of_coin_is_told_from_the_step_before_alone(tmp_path: Path) -> None:
    task: Classification = read("coin_next", tmp_path, coin)
    assert task.labels == (("boil water",), ("add sugar",), ("pour water",)), "of the testing videos alone"
    assert [(item.media.path.stem, item.media.start, item.media.end, item.label) for item in task.items] == [
        ("bbbbbbbbbbb", 0.0, 1.0, 1), ("bbbbbbbbbbb", 1.0, 2.0, 2)
    ]  # fmt: skip


def test_states_and_clips_of_worldprediction(tmp_path: Path) -> None:
    task: Transitions = read("worldprediction_wm", tmp_path)
    assert len(task.items) == COUNT and [item.group for item in task.items[:2]] == ["COIN", "CrossTask"]
    assert task.items[1].change == Change(Media(tmp_path / "states/1a.jpg"), Media(tmp_path / "videos/1.mp4", 0.5))
    assert task.items[1].candidates[3] == Media(tmp_path / "videos/1.mp4", 1.0, 2.5)
    clips = {clip: item.change.before.path.name for item in task.items for clip in item.candidates[item.right :][:1]}
    embedder = Guesses(lambda media: clips.get(media, "another"))
    figures, right = measure(task, embedder), []
    for item in task.items:
        state = embedder.embed_media([Look(item.change)])[0]
        rows = embedder.embed_media([Look(clip) for clip in item.candidates])
        right.append(int(np.argmax(rows @ state / np.linalg.norm(rows, axis=1))) == item.right)
    assert figures["accuracy"] == pytest.approx(100 * np.mean(right)) and 25 < figures["accuracy"] < 100
    assert figures["accuracy, COIN"] == pytest.approx(100 * np.mean(right[::2]))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"right": 4}, "right be the place"),
        ({"right": True}, "right be the place"),
        ({"candidates": ["a.mp4", "a.mp4"]}, "candidates must differ"),
        ({"candidates": ["a.mp4"], "right": 0}, "candidates must differ, be two or more"),
        ({"before": ["a.mp4"]}, "a state must be a path"),
        ({"after": ["a.mp4", -1]}, "a state must be a path"),
        ({"candidates": [["a.mp4", 3, 2]], "right": 0}, "end after its start"),
        ({"dataset": ""}, "dataset must be a text"),
    ],
)
def test_a_sample_of_worldprediction_that_is_wrong_is_named(change: dict[str, Any], why: str, tmp_path: Path) -> None:
    made.worldprediction_wm(tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "wm.jsonl").read_text().splitlines()]
    write_lines(tmp_path / "wm.jsonl", [rows[0], rows[1] | change])
    with pytest.raises(DataError, match=f"line 2: .*{why}"):
        BENCHMARKS["worldprediction_wm"].task(tmp_path)


ODD = st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3) | st.just([]) | st.just({})


def spoilt(value: Any, data: st.DataObject) -> Any:
    """The value with something odd in a place of it."""
    if not isinstance(value, dict | list) or not value or data.draw(st.integers(0, 4)) == 0:
        return data.draw(ODD)
    place = data.draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
    changed: Any = value.copy()
    changed[place] = spoilt(value[place], data)
    return changed


FOLDERS = {**made.WRITERS, "coin_next": coin, **{layout: writer for layout, (_, writer) in OTHERS.items()}}


@settings(max_examples=20)
@pytest.mark.parametrize("layout", FOLDERS)
@given(data=st.data())
def test_odd_annotations_are_read_or_refused_but_never_crash(
    layout: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    FOLDERS[layout](folder)
    file = data.draw(st.sampled_from(sorted(path for path in folder.rglob("*") if path.is_file())))
    text = file.read_text()
    if file.suffix == ".json":
        write(file, spoilt(json.loads(text), data))
    elif file.suffix == ".jsonl":
        lines = [json.loads(line) for line in text.splitlines()]
        lines[0] = spoilt(lines[0], data)
        write_lines(file, lines)
    elif file.suffix == ".csv":
        rows = [list(row) for row in csv.reader(text.splitlines())]
        place = data.draw(st.integers(0, len(rows) - 1))
        rows[place][data.draw(st.integers(0, len(rows[place]) - 1))] = data.draw(st.text(max_size=4))
        write_csv(file, rows)
    else:
        begin = data.draw(st.integers(0, len(text)))
        write(file, text[:begin] + data.draw(st.text(max_size=3)) + text[begin + data.draw(st.integers(0, 9)) :])
    try:
        task = BENCHMARKS[OTHERS[layout][0] if layout in OTHERS else layout].task(folder)
    except DataError:
        return
    assert all(isinstance(media, Media) for item in task.items for media in item.seen())
