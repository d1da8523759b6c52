"""The floor under what training adds: frozen features by themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.media import write_video
from tests.toy_bundle import write_toy_bundle
from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.embedder import Look
from vljepa_edge.evaluation.items import Change, Media
from vljepa_edge.model import Model, load
from vljepa_edge.training.reproduction.frozen import Frozen, ReadOut


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(write_toy_bundle(tmp_path_factory.mktemp("toy") / "toy"))


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (32, 32, 3), np.uint8) for _ in range(8)]
    return write_video(
        tmp_path_factory.mktemp("video") / "noise.mkv", images, fps=4, codec="ffv1", pix_fmt="bgr0"
    )  # fmt: skip


def features(model: Model, video: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    with model.open(video) as source:
        frames = [model.vision.encode_frame(model.vision.prepare(image)) for image, _ in source]
    return np.stack([frame["appearance"].ravel().astype(np.float64) for frame in frames])


def test_the_mean_is_over_frames_and_the_change_between_halves(model: Model, video: Path) -> None:
    rows = features(model, video)
    wanted = {"mean": rows.mean(0), "change": rows[4:].mean(0) - rows[:4].mean(0)}
    read_outs: tuple[ReadOut, ...] = ("mean", "change")
    for read_out in read_outs:
        found = Frozen(model, read_out).embed_media([Look(Media(video)), Look(Media(video), "What?")])
        assert found[0] == pytest.approx(wanted[read_out], abs=1e-5) and np.array_equal(found[0], found[1])


def test_two_states_are_halves_of_a_window(model: Model, video: Path) -> None:
    rows = features(model, video)
    change = Change(Media(video), Media(video, 1.75))
    assert Frozen(model, "mean").embed_media([Look(change)])[0] == pytest.approx((rows[0] + rows[-1]) / 2, abs=1e-5)
    assert Frozen(model, "change").embed_media([Look(change)])[0] == pytest.approx(rows[-1] - rows[0], abs=1e-5)


def test_what_can_not_be_read_is_nan_and_texts_are_refused(model: Model, video: Path, tmp_path: Path) -> None:
    frozen = Frozen(model, "mean")
    found = frozen.embed_media([Look(Media(tmp_path / "none.mp4")), Look(Media(video))])
    assert np.isnan(found[0]).all() and np.isfinite(found[1]).all()
    assert frozen.digest != Frozen(model, "change").digest
    for refused in (lambda: frozen.embed_texts(["a"]), lambda: frozen.decode(found)):
        with pytest.raises(InputError, match="frozen features"):
            refused()


def test_a_model_that_encodes_clips_has_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="must encode single frames"):
        Frozen(load(write_toy_bundle(tmp_path / "clip", vjepa=True)), "mean")
