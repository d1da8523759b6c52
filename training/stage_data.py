"""What the stages of a run train on: sources with a stage's texts and queries, batches of this rank, and the features
of the frozen X-encoder that are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch

from vljepa_edge.export.pytorch.checkpoint import Tokenizers
from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.config import RunConfig, Stage
from vljepa_edge.training.data.augment import Augmentations
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.collate import Collate
from vljepa_edge.training.data.feature_augment import FeatureAugmentations
from vljepa_edge.training.data.fill import fill
from vljepa_edge.training.data.loader import Batches, Corrupt, batches, in_order
from vljepa_edge.training.data.plan import Plan
from vljepa_edge.training.data.sample import Source
from vljepa_edge.training.data.sources import open_source
from vljepa_edge.training.data.sources.asked import Unasked
from vljepa_edge.training.data.sources.future import Future
from vljepa_edge.training.frame_encoder import frozen_encoder
from vljepa_edge.training.observe import Observer
from vljepa_edge.training.parallel import Place
from vljepa_edge.training.token_trainee import answering
from vljepa_edge.video.stretch import FramePlan


class StageData:
    """sources: of the run, by name. corrupt: source and key of each sample that could not be read until now.

    model: its X-encoder makes the features, and its config says how long texts are.
    """

    def __init__(self, config: RunConfig, model: VLJepa, tokenizers: Tokenizers, place: Place) -> None:
        self._config, self._model, self._tokenizers, self._place = config, model, tokenizers, place
        self.sources = {name: open_source(spec) for name, spec in config.data.items()}
        self.corrupt: set[tuple[str, str]] = set()

    def check(self) -> None:
        """Raises InputError for a stage that no batch can be made for."""
        config, place = self._config, self._place
        for stage in config.stages:
            sources = self._of(stage)
            sizes, weights = tuple(len(source) for source, _ in sources), tuple(weight for _, weight in sources)
            Plan(sizes, weights, config.seed, stage.name).step(0, stage.batch, place.rank, place.ranks)
            if config.evaluate is not None:
                self._seen(config.evaluate.data, stage)

    def batches(self, stage: Stage, first: int, cache: FeatureCache | None, *, alone: bool = False) -> Batches:
        """This rank's part of the stage's batches from a step on; all of them where it is alone."""
        config, place = self._config, self._place
        return batches(
            self._of(stage), _frame_plan(stage), self.collate(stage.negatives), seed=config.seed,
            stage=stage.name, batch=stage.batch, first=first, last=stage.steps, rank=0 if alone else place.rank,
            ranks=1 if alone else place.ranks, workers=config.loader.workers, cache=cache,
            augment=_augmentations(stage), pin=place.device.type == "cuda", max_corrupt=config.loader.corrupt,
        )  # fmt: skip

    def in_order(self, name: str, stage: Stage, cache: FeatureCache | None) -> Batches:
        """A source from its beginning to its end, as the stage sees it, on every rank all of it."""
        loader = self._config.loader
        return in_order(
            self._seen(name, stage), _frame_plan(stage), self.collate(), batch=min(stage.chunk or 64, 64),
            workers=loader.workers, max_corrupt=loader.corrupt, cache=cache,
        )  # fmt: skip

    def collate(self, negatives: int = 0) -> Collate:
        """negatives: that a sample has, at most."""
        config, answers = self._model.config, self._config.tokens
        language = config.language_model
        query_tokens = config.y_encoder.max_tokens if language is None else language.max_tokens
        if answers is not None:
            return Collate(
                self._tokenizers.query, answering(self._tokenizers.decoder), target_tokens=answers.max_tokens,
                query_tokens=query_tokens,
            )  # fmt: skip
        return Collate(
            self._tokenizers.query, self._tokenizers.target, negatives=negatives,
            target_prompt=config.y_encoder.prompt, query_tokens=query_tokens,
            target_tokens=config.y_encoder.max_tokens,
        )  # fmt: skip

    def cache(self, stage: Stage) -> FeatureCache | None:
        """The stage's features, as far as they are there; None where none are kept."""
        encoder = self._model.x_encoder
        if not stage.cache or encoder is None:
            return None
        folder = self._config.folder / "features" if self._config.features is None else Path(self._config.features)
        return FeatureCache(folder, encoder.frozen_digest(), _frame_plan(stage))

    @torch.no_grad()
    def fill(self, stage: Stage, cache: FeatureCache, observer: Observer) -> None:
        """Compute the features of the stage's stretches that are not there yet: this rank its share."""
        encoder, config, place = self._model.x_encoder, self._config, self._place
        assert encoder is not None  # whose features the cache keeps
        encoder.eval()
        encode = frozen_encoder(encoder, place.device)
        for name in sorted({*stage.data} | ({config.evaluate.data} if config.evaluate is not None else set())):
            source = self.sources[name]
            observer.begin(f"{stage.name}: features of {name}", 0, len(source))
            corrupt = fill(
                cache, source, _frame_plan(stage), encode, batch=min(stage.chunk or 16, 16), rank=place.rank,
                ranks=place.ranks, workers=config.loader.workers, max_corrupt=config.loader.corrupt,
                on_step=lambda _, done, total: observer.advance(done, total),
            )  # fmt: skip
            self.note(corrupt)

    def note(self, corrupt: Iterable[Corrupt]) -> None:
        """Add samples that could not be read."""
        self.corrupt |= {(one.source, one.key) for one in corrupt}

    def _of(self, stage: Stage) -> list[tuple[Source, float]]:
        """What the stage takes of each of its sources, with their weights."""
        return [(self._seen(name, stage), weight) for name, weight in stage.data.items()]

    def _seen(self, name: str, stage: Stage) -> Source:
        """A source with the texts and queries that the stage has for its videos."""
        found, delta = self.sources[name], stage.objective.delta
        source: Source = found if delta is None else Future(found, delta)
        return source if stage.query else Unasked(source)


def _augmentations(stage: Stage) -> Augmentations | None:
    if not stage.augment:
        return None
    return (FeatureAugmentations if stage.cache else Augmentations)(tuple(stage.augment))


def _frame_plan(stage: Stage) -> FramePlan:
    return FramePlan(**stage.frames.model_dump())
