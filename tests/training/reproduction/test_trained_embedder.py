"""A trained arm as an embedder: windows of videos, each thing encoded once, queries where it was taught to read any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests.media import flat, write_video
from vljepa_edge.errors import InputError
from vljepa_edge.evaluation.embedder import Look
from vljepa_edge.evaluation.items import Change, Media
from vljepa_edge.training.config import Frames
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.reproduction import trained_embedder as made
from vljepa_edge.training.reproduction.trained_embedder import TrainedEmbedder

ENCODED: list[Tensor] = []


class Predicts:
    """An embedding of four numbers: the colours in the middle, and the length of the query."""

    def __init__(self, trained: object) -> None:
        self.model = SimpleNamespace(config=SimpleNamespace(predictor=SimpleNamespace(embedding=4)))

    def predict(
        self, samples: Sequence[Sample], features: Callable[[Sample], Mapping[str, NDArray[Any]]]
    ) -> NDArray[np.float32]:
        rows = [[*features(sample)["colours"].mean(0), len(sample.query)] for sample in samples]
        return np.array(rows, np.float32)


def encode(clip: Tensor) -> dict[str, Tensor]:
    ENCODED.append(clip)
    return {"colours": clip[:, :, 16, 16].float()}


@pytest.fixture
def embedder(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], TrainedEmbedder]:
    ENCODED.clear()
    monkeypatch.setattr(made, "Reader", Predicts)
    monkeypatch.setattr(made, "frozen_encoder", lambda encoder, device: encode)
    monkeypatch.setattr(made, "digest_of", lambda *of: "digest")
    model = SimpleNamespace(x_encoder=object())

    def of(query: bool) -> TrainedEmbedder:
        stage = SimpleNamespace(query=query, frames=Frames(count=8, width=32, height=32))
        return TrainedEmbedder(SimpleNamespace(model=model, run=SimpleNamespace(stages=[stage])))  # type: ignore[arg-type]

    return of


def video(folder: Path, frames: int) -> Media:
    images = [flat(number) for number in range(frames)]
    return Media(write_video(folder / f"{frames}.mkv", images, fps=4, codec="ffv1", pix_fmt="bgr0"))


def test_an_embedding_is_the_mean_over_windows_and_each_thing_is_encoded_once(
    embedder: Callable[[bool], TrainedEmbedder], tmp_path: Path
) -> None:
    short, long = video(tmp_path, 8), video(tmp_path, 24)
    looks = [Look(short, "a"), Look(long, "a"), Look(short, "abcd"), Look(Media(tmp_path / "none.mkv"))]
    found = embedder(True).embed_media(looks)
    assert [len(clips) for clips in ENCODED] == [5]  # one window of the first, four of the next
    assert ENCODED[0].shape[1:] == (8, 32, 32, 3)
    wanted = np.array([*flat(0)[0, 0], 1.0])
    wanted[:3] = np.mean([flat(number)[0, 0] for number in range(8)], 0)
    assert found[0] == pytest.approx(wanted / np.linalg.norm(wanted), abs=0.02)
    assert np.linalg.norm(found[:3], axis=1) == pytest.approx(1, abs=1e-6)
    assert found[2, 3] > found[0, 3] and np.isnan(found[3]).all()


def test_images_are_encoded_together(embedder: Callable[[bool], TrainedEmbedder], tmp_path: Path) -> None:
    """One frame alone would fill a quarter of a batch of the encoder's graph."""
    photos = [Media(tmp_path / f"{number}.png") for number in range(20)]
    for number, photo in enumerate(photos):
        Image.fromarray(flat(number)).save(photo.path)
    looks = [Look(photos[0]), Look(video(tmp_path, 8)), *map(Look, photos[1:])]
    found = embedder(True).embed_media(looks)
    assert [len(clips) for clips in ENCODED] == [16, 5]
    alone = [embedder(True).embed_media([look])[0] for look in looks]
    assert np.array_equal(found, alone)


def test_a_change_is_half_of_each_state(embedder: Callable[[bool], TrainedEmbedder], tmp_path: Path) -> None:
    shown = video(tmp_path, 8)
    embedder(True).embed_media([Look(Change(shown, Media(shown.path, 1.75)))])
    (clip,) = ENCODED
    assert torch.equal(clip[0, :4], clip[0, :1].expand(4, -1, -1, -1)) and not torch.equal(clip[0, 3], clip[0, 4])


def test_who_was_taught_no_queries_is_asked_nothing(
    embedder: Callable[[bool], TrainedEmbedder], tmp_path: Path
) -> None:
    looks = [Look(video(tmp_path, 8), query) for query in ("a long question?", None)]
    silent, asked = (embedder(query).embed_media(looks) for query in (False, True))
    assert (silent[:, 3] == 0).all() and (asked[:, 3] > 0).all()
    with pytest.raises(InputError, match="no Y-decoder"):
        embedder(True).decode(asked)
