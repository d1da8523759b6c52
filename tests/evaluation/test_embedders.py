"""What embedders give: a bundle's and a PyTorch model's, and what is kept of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import vljepa_edge
from tests.evaluation.embedders import Knows, Same
from tests.evaluation.made_up import write_csv
from tests.media import write_video
from tests.streaming.wrapped import WrappedEngine
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.evaluation.adapters import BENCHMARKS
from vljepa_edge.evaluation.bundle_embedder import BundleEmbedder
from vljepa_edge.evaluation.cached import Cached
from vljepa_edge.evaluation.embedder import Array, Look
from vljepa_edge.evaluation.items import Change, Media
from vljepa_edge.evaluation.run import select
from vljepa_edge.model import Model
from vljepa_edge.video.stretch import FramePlan, read_frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve seconds of colours, 4 frames a second."""
    return write_video(tmp_path / "clip.mp4", 48, fps=4)


def colour(shade: int) -> np.ndarray:
    return np.full((32, 32, 3), (shade, 255 - shade, 40), np.uint8)


def photo(path: Path, shade: int) -> Path:
    from PIL import Image

    Image.fromarray(colour(shade)).save(path)
    return path


def test_a_stretch_of_one_window_is_what_the_model_sees_there(model: Model, clip: Path) -> None:
    (row,) = BundleEmbedder(model).embed_media([Look(Media(clip, 4.0, 6.0), "what?")])
    frames = read_frames(clip, FramePlan(8, 32, 32, "cover", 4.0), 4.0, 6.0)
    assert np.allclose(row, model.embed_video(frames, "what?"), atol=1e-6)
    assert np.linalg.norm(row) == pytest.approx(1.0, abs=1e-5)


def test_a_long_clip_is_the_mean_of_windows_evenly_over_it(model: Model, clip: Path) -> None:
    (row,) = BundleEmbedder(model, views=3).embed_media([Look(Media(clip))])
    starts = (0.0, 5.0, 10.0)  # of windows of two seconds
    windows = [
        model.embed_video(read_frames(clip, FramePlan(8, 32, 32, "cover", 4.0), start, start + 2.0)) for start in starts
    ]
    mean = np.mean(windows, 0)
    assert row @ (mean / np.linalg.norm(mean)) > 0.9999
    assert not np.allclose(row, BundleEmbedder(model, views=1).embed_media([Look(Media(clip))])[0], atol=1e-3)


def test_a_photo_is_embedded_as_by_the_model(model: Model, tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", 90)
    (row,) = BundleEmbedder(model).embed_media([Look(Media(path))])
    assert np.allclose(row, model.embed_video(path), atol=1e-5)


def test_a_change_shows_the_state_before_in_the_first_half(model: Model, tmp_path: Path) -> None:
    before, after = photo(tmp_path / "a.png", 0), photo(tmp_path / "b.png", 200)
    change = Change(Media(before), Media(after))
    (row,) = BundleEmbedder(model).embed_media([Look(change)])
    frames = np.stack([colour(0)] * 4 + [colour(200)] * 4)
    assert np.allclose(row, model.embed_video(frames), atol=1e-4)


def test_what_cannot_be_read_is_nan_and_nothing_else_is(model: Model, clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    looks = [Look(Media(broken)), Look(Media(clip, 0.0, 2.0)), Look(Media(clip, 30.0, 31.0))]
    rows = BundleEmbedder(model).embed_media(looks)
    assert np.isnan(rows[[0, 2]]).all() and np.isfinite(rows[1]).all()
    assert BundleEmbedder(model).decode(rows)[0] == "" and BundleEmbedder(model).decode(rows)[1]


def test_what_is_embedded_at_another_precision_is_another_s(toy: Path) -> None:
    rounds = WrappedEngine()
    rounds.precision = "bf16"
    bundle = Bundle.open(toy)
    digests = {BundleEmbedder(Model(bundle, engine)).digest for engine in (WrappedEngine(), rounds)}
    assert len(digests) == 2


def test_texts_may_stand_without_the_prompt(toy: Path, tmp_path: Path) -> None:
    import json
    import shutil

    folder = tmp_path / "prompted"
    shutil.copytree(toy, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["text"]["target_prompt"] = "a red "
    (folder / "manifest.json").write_text(json.dumps(manifest))
    embedder = BundleEmbedder(vljepa_edge.load(folder, threads=1, precision="f32"))
    assert np.allclose(embedder.embed_texts(["a red cup"], prompt=False), embedder.embed_texts(["cup"]), atol=1e-6)
    assert not np.allclose(embedder.embed_texts(["cup"], prompt=False), embedder.embed_texts(["cup"]), atol=1e-3)


class Counts(Same):
    """Counts what it is asked."""

    digest = "counts"

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def embed_media(self, looks: list[Look]) -> Array:  # type: ignore[override]
        self.asked += len(looks)
        return super().embed_media(looks)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / f"{number}.mp4" for number in range(100)]
    for file in files:
        file.write_bytes(b"x")
    looks = [Look(Media(file)) for file in files]
    first, seen = Counts(), []

    def stop(what: str, done: int, total: int) -> None:
        seen.append((done, total))
        if done == 64:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cached(first, stop).embed_media(looks)
    assert first.asked == 64 and seen == [(0, 100), (64, 100)]
    again = Counts()
    rows = Cached(again).embed_media(looks)
    assert again.asked == 36 and rows.shape == (100, 32)
    files[0].write_bytes(b"another")  # it is embedded again, no other is
    Cached(third := Counts()).embed_media(looks)
    assert third.asked == 1


def test_a_set_that_is_filled_bit_by_bit_is_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    rows = [[f"{n}.mp4", f"label {n % 7}"] for n in range(200)]
    write_csv(tmp_path / "own.csv", [["path", "label"], *rows])

    def asked(limit: int | None = None) -> int:
        select(BENCHMARKS["classification"], tmp_path / "own.csv", limit=limit).measure(embedder := Counts())
        return embedder.asked

    for name, _ in rows[:190]:
        (tmp_path / name).write_bytes(b"x")
    assert (asked(limit=100), asked(), asked()) == (100, 90, 0)
    for name, _ in rows[190:]:
        (tmp_path / name).write_bytes(b"x")
    assert asked() == 10
    for name, _ in rows[:5]:
        (tmp_path / name).unlink()
    assert asked() == 0
    write_csv(tmp_path / "own.csv", [["path", "label"], ["new.mp4", "label 0"], *rows])
    (tmp_path / "new.mp4").write_bytes(b"x")
    assert asked() == 1
    files = [file for file in (tmp_path / "cache/figures").rglob("*") if file.is_file()]
    assert len(files) <= 8, "of 64 clips or 1,024 texts a file, and one for what each later run embedded"


def test_what_a_damaged_file_held_is_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    looks = [Look(Media(tmp_path / f"{number}.mp4")) for number in range(70)]
    for look in looks:
        look.seen.path.write_bytes(b"x")  # type: ignore[union-attr]
    Cached(Counts()).embed_media(looks)
    file = max((tmp_path / "cache").rglob("*.npy"), key=lambda file: file.stat().st_size)
    file.write_bytes(file.read_bytes()[:500])
    for asked in (64, 0):
        Cached(again := Counts()).embed_media(looks)
        assert again.asked == asked


def test_rows_come_from_the_cache_in_the_order_in_which_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    knows, texts = Knows({}), ["a cup", "a dog", "a cup", "two cups", ""]
    first = Cached(knows).embed_texts(texts[:2])
    assert np.array_equal(first, knows.embed_texts(texts[:2]))
    assert np.array_equal(Cached(knows).embed_texts(texts), knows.embed_texts(texts))
    assert np.array_equal(Cached(Same()).embed_texts(texts[::-1])[:1], Same().embed_texts(texts)[:1])
    said = Knows({Media(tmp_path / "a.mp4"): "a dog", Media(tmp_path / "b.mp4"): "two cups"})
    rows = knows.embed_texts(["two cups", "a dog", "two cups"])
    for given in (rows[:1], rows, rows[::-1]):
        assert Cached(said).decode(given) == said.decode(given)


def test_what_could_not_be_read_is_named_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    looks = [Look(Media(tmp_path / f"{number}.mp4")) for number in range(3)]
    for look in looks:
        look.seen.path.write_bytes(b"x")  # type: ignore[union-attr]

    class Fails(Counts):
        fails = True

        def embed_media(self, looks: list[Look]) -> Array:  # type: ignore[override]
            rows = super().embed_media(looks)
            rows[[self.fails and look.seen == Media(tmp_path / "1.mp4") for look in looks]] = np.nan
            return rows

    def rows_of(embedder: Fails) -> tuple[list[int], int, int]:
        before, cached = embedder.asked, Cached(embedder)
        rows = cached.embed_media(looks)
        return np.flatnonzero(np.isfinite(rows).all(1)).tolist(), len(cached.unread), embedder.asked - before

    embedder = Fails()
    assert rows_of(embedder) == ([0, 2], 1, 3)
    assert rows_of(embedder) == ([0, 2], 1, 1)
    embedder.fails = False
    assert rows_of(embedder) == ([0, 1, 2], 0, 1)
    assert rows_of(embedder) == ([0, 1, 2], 0, 0)


def test_files_of_one_name_size_and_time_in_two_folders_are_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    files = [tmp_path / folder / "0001.bmp" for folder in "ab"]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(b"x")
        os.utime(file, (1e9, 1e9))
    knows = Knows({(Media(files[0]), "what?"): "red", (Media(files[1]), "what?"): "large"})
    one, other = (Cached(knows).embed_media([Look(Media(file), "what?")]) for file in files)
    assert not np.allclose(one, other)


def test_another_model_or_query_is_embedded_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLJEPA_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "a.mp4"
    file.write_bytes(b"x")
    media = Media(file)
    knows = Knows({(media, "colour?"): "red", (media, "size?"): "large"})
    both = [Cached(knows).embed_media([Look(media, query)]) for query in ("colour?", "size?")]
    assert not np.allclose(*both)
    assert not np.allclose(Cached(Same()).embed_media([Look(media, "size?")]), both[1])
