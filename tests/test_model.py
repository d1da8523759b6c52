"""A model embeds and decodes as its graphs say, whatever the batch, the length and the number of threads."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from av import VideoFrame
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.streaming.scenes import BLUE, GREEN, RED, picture, scenes
from tests.streaming.scratch import Scratch
from tests.streaming.wrapped import WrappedEngine
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.bundle.store import Bundle
from vljepa_edge.errors import BundleError, EngineError, FrameError, InputError, VideoError
from vljepa_edge.model import Model, load
from vljepa_edge.tasks.retrieve import Index
from vljepa_edge.video import live
from vljepa_edge.video.frame import Picture

QUERY = "Which colour?"


@settings(max_examples=10)
@example(["a" * 200, "short"])  # longer than the model's 64 tokens
@given(st.lists(st.text(min_size=1, max_size=100).filter(str.strip), min_size=1, max_size=70))
@pytest.mark.slow
def test_a_text_has_the_same_embedding_in_every_batch(model: Model, texts: list[str]) -> None:
    scratch = Scratch(model.bundle)
    found = model.embed_text(texts)
    assert found.shape == (len(texts), 16) and found.dtype == np.float32
    for row, text in list(zip(found, texts, strict=True))[:5]:
        np.testing.assert_allclose(row, scratch.embed_text(text), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_no_texts_have_no_embeddings(model: Model) -> None:
    assert model.embed_text([]).shape == (0, 16)


@pytest.mark.parametrize("texts", ["one string", [""], ["  "], [None], ["a", 3], ["\ud800"]])
def test_what_is_no_text_is_refused(model: Model, texts: object) -> None:
    with pytest.raises(InputError):
        model.embed_text(texts)  # type: ignore[arg-type]


def test_long_texts_are_cut_at_the_models_limit(model: Model) -> None:
    np.testing.assert_array_equal(model.embed_text(["word " * 1000])[0], model.embed_text(["word " * 2000])[0])


def test_decoding_is_greedy(model: Model) -> None:
    scratch = Scratch(model.bundle)
    for embedding in np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32):
        unit = embedding / np.linalg.norm(embedding)
        assert model.decode_text(unit) == model.decode_text(3 * unit) == scratch.decode(unit)


@pytest.mark.parametrize("embedding", [np.zeros(16), np.full(16, np.nan), np.ones(15), np.ones((1, 16))])
def test_what_is_no_embedding_is_not_decoded(model: Model, embedding: object) -> None:
    with pytest.raises(InputError, match="decode"):
        model.decode_text(embedding)  # type: ignore[arg-type]


def test_full_windows_leave_out_those_that_the_first_frame_fills(model: Model) -> None:
    frames = list(scenes(RED, GREEN, BLUE, seconds=21 / 4 / 3))
    assert len(frames) == 21
    windows = list(model.windows(iter(frames), QUERY, hop=4, full=True))
    assert [(w.start, w.end) for w in windows] == [(0, 1.75), (1, 2.75), (2, 3.75), (3, 4.75), (3.25, 5.0)]
    scratch = Scratch(model.bundle)
    for window in windows:
        images = [image for image, time in frames if window.start <= time <= window.end]
        np.testing.assert_allclose(window.embedding, scratch.embed_window(images, QUERY), atol=1e-5)


@pytest.mark.parametrize("count", [1, 5, 8, 21])
def test_windows_are_those_of_a_stream_from_its_first_frame_on(model: Model, count: int) -> None:
    frames = list(scenes(RED, GREEN, BLUE, seconds=3))[:count]
    rows: list[tuple[float, np.ndarray]] = []
    with model.open_stream(QUERY) as stream:
        stream.subscribe(lambda time, embedding, query: rows.append((time, embedding)))
        for image, time in frames:
            stream.push(image, time)
    times, embeddings = model.embed_windows(iter(frames), QUERY)
    assert times.tolist() == [time for time, _ in rows]
    np.testing.assert_array_equal(embeddings, np.stack([embedding for _, embedding in rows]))


def test_the_last_window_ends_with_the_video_whatever_the_hop(model: Model) -> None:
    frames = list(scenes(RED, GREEN, seconds=3))
    for hop in (2, 5, 100):
        ends = [window.end for window in model.windows(iter(frames), QUERY, hop=hop)]
        assert ends[:-1] == [time for _, time in frames][: len(frames) - 1 : hop] and ends[-1] == frames[-1][1]


def test_windows_checks_its_arguments_when_it_is_called(model: Model) -> None:
    with pytest.raises(InputError, match="hop"):
        model.windows(picture(RED), QUERY, hop=0)


def test_a_video_is_the_mean_of_its_windows(model: Model) -> None:
    frames = list(scenes(RED, GREEN, seconds=3))
    _, rows = model.embed_windows(iter(frames), QUERY, hop=4, full=True)
    mean = rows.astype(np.float64).mean(0)
    np.testing.assert_allclose(model.embed_video(iter(frames), QUERY), mean / np.linalg.norm(mean), atol=1e-6)


def test_an_image_is_one_frame_that_fills_the_window(model: Model) -> None:
    image = picture(RED)
    expected = Scratch(model.bundle).embed_window([image] * 8, QUERY)
    for source in (image, [image], [(image, 3.0)], [image] * 20, np.stack([image] * 9)):
        np.testing.assert_allclose(model.embed_video(source, QUERY), expected, atol=1e-5)


def test_a_short_clip_is_filled_with_its_first_frame(model: Model) -> None:
    first, second = picture(RED), picture(BLUE)
    expected = Scratch(model.bundle).embed_window([first] * 7 + [second], QUERY)
    np.testing.assert_allclose(model.embed_video([first, second], QUERY), expected, atol=1e-5)


class EndlessCamera:
    """A red frame every 5 ms, stamped as at the toy model's rate."""

    interval = 0.25

    def __iter__(self) -> Iterator[tuple[VideoFrame, float | None]]:
        for number in itertools.count():
            time.sleep(0.005)
            yield VideoFrame.from_ndarray(picture(RED), format="rgb24"), number / 4

    def picture(self, frame: VideoFrame, time: float) -> Picture:
        return Picture(frame, time)

    def close(self) -> None:
        pass


def test_of_a_camera_the_first_full_window_is_looked_at(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "camera", lambda *_: EndlessCamera)
    (window,) = model.windows("camera:0", QUERY)
    assert window.end - window.start >= 1.7  # the stamps run far ahead of the arrivals
    assert len(model.classify("camera:0", ["red", "blue"])) == 2
    assert Index(model).add("camera:0") == 1


def test_no_window_spans_a_clock_that_is_set_back(model: Model) -> None:
    before = [(picture(RED), 100 + i / 4) for i in range(10)]
    after = [(picture(GREEN), 50 + i / 4) for i in range(3)]
    found = list(model.windows([*before, *after], QUERY, hop=8, full=True))
    assert [(window.start, window.end) for window in found] == [(100.0, 101.75), (100.5, 102.25), (50.0, 50.5)]
    np.testing.assert_allclose(found[2].embedding, model.embed_video(picture(GREEN), QUERY), atol=1e-5)


def test_a_query_that_is_longer_than_the_model_reads_is_refused_unless_it_is_to_be_cut(model: Model) -> None:
    most, long = model.manifest.text.query_tokens, "a" * 600
    assert model.text.query("a" * (most - 2)).tokens.shape[1] == most
    with pytest.raises(InputError, match=f"query must have at most {most} tokens, got 602"):
        model.answer(np.zeros((48, 64, 3), np.uint8), long)
    assert model.text.query(long, cut=True).tokens.shape[1] == most


def test_the_query_changes_the_embedding(model: Model) -> None:
    image = picture(RED)
    assert model.embed_video(image, "one") @ model.embed_video(image, "something else") < 0.9999
    default = model.manifest.text.default_query
    np.testing.assert_array_equal(model.embed_video(image), model.embed_video(image, default))


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("nowhere.mp4", VideoError),
        ([], VideoError),
        (7, VideoError),
        (np.zeros((4, 4, 3)), FrameError),
        ([np.zeros((3, 5, 5), np.uint8)], FrameError),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_video_is_refused(model: Model, source: object, error: type[Exception]) -> None:
    with pytest.raises(error):
        model.embed_video(source)


def test_a_hop_below_one_frame_is_refused(model: Model) -> None:
    with pytest.raises(InputError, match="hop"):
        model.embed_windows(picture(RED), hop=0)


def test_two_roles_of_one_file_are_compiled_once(toy: Path) -> None:
    names: list[str] = []

    class Counting(WrappedEngine):
        def compile(self, model: bytes, name: str):  # type: ignore[no-untyped-def]
            names.append(name)
            return super().compile(model, name)

    Model(Bundle.open(toy), Counting())
    assert sorted(names) == ["predictor", "text", "x_encoder_appearance", "x_encoder_motion", "y_decoder"]


def test_a_zip_gives_the_same_as_a_folder(model: Model, tmp_path: Path) -> None:
    zipped = load(write_toy_bundle(tmp_path / "toy.vljepa"), threads=1, precision="f32")
    np.testing.assert_array_equal(zipped.embed_video(picture(RED)), model.embed_video(picture(RED)))


def test_wrong_arguments_of_load_are_refused(toy: Path, tmp_path: Path) -> None:
    for wrong, error in (
        ({"engine": "abacus"}, InputError),
        ({"precision": "f7"}, InputError),
        ({"threads": 0}, InputError),
    ):
        with pytest.raises(error):
            load(toy, **wrong)
    with pytest.raises(BundleError):
        load(tmp_path / "nothing")


def test_an_engine_that_fails_says_so(toy: Path) -> None:
    def before(name: str) -> None:
        raise EngineError(f"{name}: out of order")

    with pytest.raises(EngineError, match="text: out of order"):
        Model(Bundle.open(toy), WrappedEngine(before)).embed_text(["a"])


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, time; begun = time.process_time(); import vljepa_edge; spent = time.process_time() - begun\n"
        "heavy = {'numpy', 'openvino', 'av', 'tokenizers', 'pydantic', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert spent < 0.3, spent\n"
        "assert all(hasattr(vljepa_edge, name) for name in vljepa_edge.__all__ if name != '__version__')\n"
        "assert set(vljepa_edge.__all__) <= set(dir(vljepa_edge))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_an_unknown_public_name_is_told_apart() -> None:
    import vljepa_edge

    with pytest.raises(AttributeError, match="it has"):
        _ = vljepa_edge.Nothing
