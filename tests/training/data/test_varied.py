"""Sources that vary cached features and texts together: each step as its draw says, the same in every worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.training.tiny_bert import tokenizer
from vljepa_edge.errors import InputError
from vljepa_edge.nn.tiny_streams import GRID_WIDTH
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.data.augment import Augmentations
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.collate import Collate, key_of_text
from vljepa_edge.training.data.feature_augment import FeatureAugmentations
from vljepa_edge.training.data.loader import Batches, batches, in_order
from vljepa_edge.training.data.plan import Plan
from vljepa_edge.training.data.sample import Sample, Varied
from vljepa_edge.training.data.sources.asked import Unasked
from vljepa_edge.video.stretch import FramePlan

PLAN = FramePlan(count=2, width=16, height=16)
COUNT, LEVELS = 10, 16


class Levels:
    """Clips of a level each; a step sees one that is lighter by what is drawn, and its text says so."""

    name = "levels"

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), f"level/{index}", "plain", "plain?", negatives=("plain",))

    def varied(
        self, sample: Sample, features: Mapping[str, NDArray[Any]], draw: int
    ) -> tuple[Sample, Mapping[str, NDArray[Any]]]:
        by = draw % LEVELS
        changed = replace(sample, target=f"by {by}", text_key=f"key {by}", also=("also",), negatives=(f"not {by}",))
        return changed, {**features, "luma": features["luma"] + np.float16(by)}

    def frames(self, sample: Sample, plan: FramePlan, where: float = 0.5) -> NDArray[np.uint8]:
        return np.full((plan.count, plan.height, plan.width, 3), int(sample.key), np.uint8)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    """Of both streams: brightness is the number of the clip."""
    made, source = FeatureCache(tmp_path, "digest", PLAN), Levels()
    number = np.arange(COUNT, dtype=np.float16).reshape(COUNT, 1, 1)
    looks = np.random.default_rng(0).normal(size=(COUNT, 2, 3, GRID_WIDTH + 4))
    keys = [made.key(source[i]) for i in range(COUNT)]
    made.write(keys, {"luma": np.broadcast_to(number, (COUNT, 2, 3)), "appearance": looks})
    made.reload()
    return made


def read(source: Any, **changes: Any) -> Batches:
    words = tokenizer(["plain", "by", "not", "?", *map(str, range(LEVELS))])
    arguments: dict[str, Any] = {"seed": 0, "stage": "one", "batch": 6, "first": 0, "last": 4, "workers": 0}
    return batches([(source, 1.0)], PLAN, Collate(words, words, negatives=1), **{**arguments, **changes})


def streams(batch: Batch) -> dict[str, torch.Tensor]:
    assert isinstance(batch.video, dict)
    return batch.video


def test_a_step_sees_what_its_draws_say(cache: FeatureCache) -> None:
    plan, seen = Plan((COUNT,), (1.0,), 0, "one"), set()
    for step, batch in enumerate(read(Levels(), cache=cache)):
        references = list(plan.step(step, 6))
        by = [reference.draw % LEVELS for reference in references]
        assert batch.texts == tuple(f"by {each}" for each in by)
        assert batch.keys.tolist() == [key_of_text(f"key {each}") for each in by]
        assert batch.also is not None and set(batch.also.flatten().tolist()) == {key_of_text("also")}
        expected = [reference.sample + each for reference, each in zip(references, by, strict=True)]
        assert streams(batch)["luma"].flatten(1).amax(1).tolist() == expected
        seen |= {(reference.sample, each) for reference, each in zip(references, by, strict=True)}
    assert len(seen) > 2 * COUNT - 4  # 24 samples of 10 clips: one is another each time


def test_workers_and_going_on_change_nothing(cache: FeatureCache) -> None:
    augment = FeatureAugmentations(("grid_noise", "light"))
    whole = list(read(Levels(), cache=cache, augment=augment))
    parts = [*read(Levels(), cache=cache, augment=augment, last=1),
             *read(Levels(), cache=cache, augment=augment, first=1, workers=1)]  # fmt: skip
    for one, other in zip(whole, parts, strict=True):
        assert one.texts == other.texts and torch.equal(one.keys, other.keys)
        assert all(torch.equal(streams(one)[name], streams(other)[name]) for name in ("luma", "appearance"))


def test_features_are_augmented_after_they_were_varied(cache: FeatureCache) -> None:
    source, augment = Levels(), FeatureAugmentations(("light",))
    (batch,) = read(source, cache=cache, augment=augment, last=1)
    for reference, luma in zip(Plan((COUNT,), (1.0,), 0, "one").step(0, 6), streams(batch)["luma"], strict=True):
        sample = source[reference.sample]
        _, features = source.varied(sample, cache.read(sample), reference.draw)
        np.testing.assert_array_equal(luma.numpy(), augment(sample, features, reference.draw)["luma"])


def test_without_its_query_a_sample_varies_as_with_it(cache: FeatureCache) -> None:
    with_query, without = (list(read(source, cache=cache)) for source in (Levels(), Unasked(Levels())))
    for one, other in zip(with_query, without, strict=True):
        assert one.query is not None and other.query is None
        assert one.texts == other.texts and torch.equal(streams(one)["luma"], streams(other)["luma"])


class Fixed(Levels):
    """The same clips, which nothing varies."""

    varied = None  # type: ignore[assignment]


def test_a_source_that_does_not_vary_is_read_as_it_is(cache: FeatureCache) -> None:
    plain = Unasked(Fixed())
    assert isinstance(plain, Varied)
    found, features = plain.varied(plain[3], cache.read(plain[3]), 5)
    assert found == plain[3] and float(features["luma"].max()) == 3


def test_an_evaluation_sees_clips_as_they_are(cache: FeatureCache) -> None:
    words = tokenizer(["plain", "?"])
    for batch in in_order(Levels(), PLAN, Collate(words, words), batch=COUNT, workers=0, cache=cache):
        assert set(batch.texts) == {"plain"}
        assert streams(batch)["luma"].flatten(1).amax(1).tolist() == list(range(COUNT))


def test_pixels_are_not_varied() -> None:
    (batch,) = read(Levels(), last=1)
    assert set(batch.texts) == {"plain"} and isinstance(batch.video, torch.Tensor)


def test_pixels_and_features_have_augmentations_of_their_own(cache: FeatureCache) -> None:
    with pytest.raises(InputError, match="pixels must be augmented as pixels"):
        read(Levels(), augment=FeatureAugmentations(("light",)))
    with pytest.raises(InputError, match="the features of a frozen encoder as features"):
        read(Levels(), cache=cache, augment=Augmentations(("mirror",)))
