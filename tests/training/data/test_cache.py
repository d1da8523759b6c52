"""A cache gives what the encoder gave, to 16 bits; filling it goes on where it stopped, and notices what changed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.media import cut, flat, write_video
from tests.training.tiny_bert import tokenizer
from vljepa_edge.errors import DataError, InputError, VideoError
from vljepa_edge.support.atomic import replacing
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.data import fill as module
from vljepa_edge.training.data.augment import Augmentations
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.fill import fill
from vljepa_edge.training.data.loader import batches, in_order
from vljepa_edge.training.data.sample import Sample
from vljepa_edge.training.data.sources.listed import Listed
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(count=2, width=16, height=16)
COUNT = 12


@pytest.fixture
def source(tmp_path: Path) -> Listed:
    """Two captions each of some videos of one colour; the fifth is corrupt."""
    for number in range(COUNT):
        write_video(tmp_path / f"{number}.mp4", [flat(number)] * 4)
    cut(tmp_path / "5.mp4", 0.5)
    return Listed(
        "all", (Sample(f"{i}{c}", str(tmp_path / f"{i}.mp4"), f"video {i} {c}") for i in range(COUNT) for c in "ab")
    )


class Encoder:
    """Means of clips, and the clips in thirds of their values; counts what it was given."""

    def __init__(self) -> None:
        self.clips = 0

    def __call__(self, video: Tensor) -> Mapping[str, Tensor]:
        self.clips += len(video)
        values = video.float()
        return {"mean": values.mean((1, 2, 3)), "grid": values[:, :, ::8, ::8] / 3}


def collate() -> Collate:
    return Collate(None, tokenizer(["video", "a", "b", *map(str, range(COUNT))]))


def filled(folder: Path, source: Listed, encode: Encoder, digest: str = "one") -> FeatureCache:
    cache = FeatureCache(folder, digest, PLAN)
    corrupt = fill(cache, source, PLAN, encode, batch=5, workers=0)
    assert [each.key for each in corrupt] == ["5a"]
    return cache


def test_batches_of_features_are_what_the_encoder_makes_of_batches_of_pixels(source: Listed, tmp_path: Path) -> None:
    encode = Encoder()
    cache = filled(tmp_path / "cache", source, encode)
    assert encode.clips == COUNT - 1  # once for both captions
    assert len(cache) == COUNT - 1

    def read(cache: FeatureCache | None, workers: int) -> list[Batch]:
        made = batches(
            [(source, 1.0)],
            PLAN,
            collate(),
            seed=0,
            stage="one",
            batch=6,
            first=0,
            last=5,
            workers=workers,
            cache=cache,
        )
        with made:
            return list(made)

    for workers in (0, 1):
        for pixels, features in zip(read(None, 0), read(cache, workers), strict=True):
            assert pixels.names == features.names
            assert isinstance(pixels.video, Tensor)
            assert isinstance(features.video, dict)
            for name, expected in encode(pixels.video).items():
                assert features.video[name].dtype == torch.float16
                torch.testing.assert_close(features.video[name].float(), expected, rtol=1e-3, atol=1e-3)


def test_in_order_reads_features_too(source: Listed, tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache", source, Encoder())
    found = in_order(source, PLAN, collate(), batch=8, workers=0, cache=cache)
    names = [name for batch in found for name in batch.names]
    assert names == [f"{i}{c}" for i in range(COUNT) for c in "ab" if i != 5]
    assert "has no features in the cache" in found.corrupt[0].reason


def test_a_cache_that_is_full_is_not_filled_again(source: Listed, tmp_path: Path) -> None:
    filled(tmp_path / "cache", source, Encoder())
    encode = Encoder()
    filled(tmp_path / "cache", source, encode)
    assert encode.clips == 0
    filled(tmp_path / "cache", source, encode, digest="another encoder")
    assert encode.clips == COUNT - 1


def test_filling_goes_on_where_it_was_stopped(source: Listed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FILE", 1)  # a file each batch

    class Stops(Encoder):
        def __call__(self, video: Tensor) -> Mapping[str, Tensor]:
            if self.clips >= 5:
                raise KeyboardInterrupt
            return super().__call__(video)

    with pytest.raises(KeyboardInterrupt):
        fill(FeatureCache(tmp_path / "cache", "one", PLAN), source, PLAN, Stops(), batch=5, workers=0)
    assert len(FeatureCache(tmp_path / "cache", "one", PLAN)) == 5
    encode = Encoder()
    cache = filled(tmp_path / "cache", source, encode)
    assert encode.clips == COUNT - 1 - 5
    assert len(list(cache.folder.iterdir())) == 3


def test_what_another_process_writes_just_now_is_no_part_of_it_yet(source: Listed, tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache", source, Encoder())
    with replacing(cache.folder / "0123456789abcdef.safetensors") as part:
        part.write_bytes(b"half of it")  # all that a killed process leaves
        assert len(FeatureCache(tmp_path / "cache", "one", PLAN)) == COUNT - 1


def test_ranks_fill_a_part_each(source: Listed, tmp_path: Path) -> None:
    encode = Encoder()
    caches = [FeatureCache(tmp_path / "cache", "one", PLAN) for _ in range(3)]
    for rank, cache in enumerate(caches):
        fill(cache, source, PLAN, encode, rank=rank, ranks=3, workers=0)
    for cache in caches:
        cache.reload()
        assert len(cache) == COUNT - 1
    assert encode.clips == COUNT - 1


def test_ranks_fill_all_though_one_begins_when_another_is_done(source: Listed, tmp_path: Path) -> None:
    """As with several sources: the first rank may be at the second while another still reads the first."""
    encode = Encoder()
    for rank in range(2):  # the second rank's cache knows what the first wrote
        fill(FeatureCache(tmp_path / "cache", "one", PLAN), source, PLAN, encode, rank=rank, ranks=2, workers=0)
    assert len(FeatureCache(tmp_path / "cache", "one", PLAN)) == encode.clips == COUNT - 1


def test_a_video_that_changed_is_not_in_the_cache(source: Listed, tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache", source, Encoder())
    assert source[0] in cache
    os.utime(tmp_path / "0.mp4", (1, 1))
    assert source[0] not in cache
    assert source[2] in cache
    with pytest.raises(VideoError, match=r"0\.mp4: has no features in the cache"):
        cache.read(source[0])


def test_plans_have_caches_of_their_own(source: Listed, tmp_path: Path) -> None:
    cache = filled(tmp_path / "cache", source, Encoder())
    assert len(FeatureCache(tmp_path / "cache", "one", FramePlan(count=3, width=16, height=16))) == 0
    assert len(pickle.loads(pickle.dumps(cache))) == len(cache)


def test_what_is_not_allowed_is_an_error(source: Listed, tmp_path: Path) -> None:
    cache = FeatureCache(tmp_path / "cache", "one", PLAN)
    with pytest.raises(DataError, match="'a' has values that are not finite at 16 bits"):
        cache.write([1], {"a": np.full((1, 2), 1e5)})
    with pytest.raises(InputError, match="'a' has 1 rows for 2 samples"):
        cache.write([1, 2], {"a": np.zeros((1, 2))})
    with pytest.raises(InputError):
        cache.write([1], {"keys": np.zeros((1, 2))})
    assert not list(cache.folder.iterdir())
    with pytest.raises(InputError, match="pixels must be augmented as pixels"):
        batches(
            [(source, 1.0)], PLAN, collate(), seed=0, stage="one", batch=6, first=0, last=1, cache=cache,
            augment=Augmentations(("mirror",)),
        )  # fmt: skip
    (cache.folder / "0.safetensors").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"0\.safetensors: is damaged; remove it"):
        cache.reload()
