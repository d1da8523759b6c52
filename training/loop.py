"""A run from its config to a finished checkpoint: stages, each a loop of batch, loss, step, hooks.

The loop knows no data set and no model of its own. What a step does depends on the config, the weights and the number
of the step alone: the plan of the data and the seed of dropout are functions of it, so a run that was interrupted
anywhere ends with the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from vljepa_edge.nn.vljepa import VLJepa
from vljepa_edge.training.batch import Batch
from vljepa_edge.training.budget import device_peak, parts, sample_flops
from vljepa_edge.training.build import build_model, save_model
from vljepa_edge.training.config import Predicted, RunConfig, Stage
from vljepa_edge.training.data.cache import FeatureCache
from vljepa_edge.training.data.loader import Batches
from vljepa_edge.training.data.plan import key_of
from vljepa_edge.training.gather import Gathering
from vljepa_edge.training.grad_cache import grad_cache_step
from vljepa_edge.training.objective import Rows, Trainee, class_texts, query_of
from vljepa_edge.training.observe import Observer
from vljepa_edge.training.optim import Average, Guard, TrainingError, build_optimiser, rate_at, set_rate
from vljepa_edge.training.parallel import (
    Place,
    clip_gradients,
    init_parallel,
    max_over_ranks,
    mean_over_ranks,
    running_statistics,
    wrap,
)
from vljepa_edge.training.position import header_of, position_in
from vljepa_edge.training.precision import bf16_is_native
from vljepa_edge.training.report import TrainReport
from vljepa_edge.training.retrieval import retrieval
from vljepa_edge.training.run_folder import LATEST, RunFolder, load_checkpoint
from vljepa_edge.training.stage_data import StageData
from vljepa_edge.training.state import check_fits, load_state, load_weights, state_of, weights_of
from vljepa_edge.training.stopping import Stopping
from vljepa_edge.training.text_memo import TextMemo
from vljepa_edge.training.token_trainee import TokenTrainee
from vljepa_edge.training.y_decoder import check_decoder, finish_decoder

_MOST_FAILED_SAVES = 5
"""So many checkpoints in a row that can't be written end a run: nothing of it would be kept."""


def train(config: RunConfig, resume: str | None = None) -> TrainReport:
    """Run a config on this rank. resume: `latest`, `best` or a checkpoint file, None for a run from its beginning.

    SIGTERM and Ctrl-C save a checkpoint and end the run. Raises InputError, BundleError and DataError for what can't be
    used, TrainingError for a loss that is not finite any more.
    """
    device = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    with init_parallel(device) as place:
        return _Run(config, place).train(resume)


class _Run:
    """One run on one rank."""

    def __init__(self, config: RunConfig, place: Place) -> None:
        self.config, self.place = config, place
        self.folder = RunFolder(config.folder, config.checkpoint.keep)
        # complete: frozen parts come from here, not from their sources
        model, self.tokenizers, self.complete = build_model(config)
        sourced: Iterable[str] = model.frozen() if config.init != "random" else ()
        if config.tokens is not None:  # nothing of the model learns
            sourced = model.state_dict()
        self.left_out = frozenset(f"model.{name}" for name in sourced)
        self.trainee = trainee_of(config, model, self.tokenizers.decoder)
        self.data = StageData(config, model, self.tokenizers, place)
        bf16 = config.parallel.bf16 and (place.device.type == "cuda" or bf16_is_native())
        self.parallel = config.parallel.model_copy(update={"bf16": bf16})
        self.peak = None if config.tokens is not None else device_peak(config, place.device, bf16)
        self.data.check()  # what later stages and the Y-decoder need, before the first step rather than after hours
        check_decoder(model, self.tokenizers, config, self.data.sources)
        self.stage, self.step = 0, 0  # the next step
        self.best = -math.inf
        self.figures: dict[str, float] = {}
        self.refused = self._unsaved = 0
        self._cache: FeatureCache | None = None
        keeps = model.y_encoder.config.frozen and config.parallel.mode != "fsdp2"  # which shards it
        self._known: Callable[[Batch], Batch] = lambda batch: batch
        if keeps:
            self._known = TextMemo(model, bf16=bf16, targets=config.tokens is None)
        self.stopping = Stopping()

    def train(self, resume: str | None) -> TrainReport:
        """The stages that are left, then the finished model."""
        config, main = self.config, self.place.rank == 0
        state: dict[str, Tensor] | None = None
        if resume is not None:
            state, header = load_checkpoint(self.folder.named(resume))
            self.stage, self.step, self.best = position_in(header, config)
            check_fits(self.trainee, state, self.left_out)
        if main:
            self.folder.begin(config, resume is not None)
        observer = Observer(config.folder, quiet=not main, tensorboard=config.tensorboard)
        with observer, self.stopping.listening():
            wrapped: nn.Module = self.trainee
            while self.stage < len(config.stages) and self.stopping.by is None:
                wrapped = self._run_stage(config.stages[self.stage], state, observer)
                state = None
            model = None if self.stopping.by is not None else self._finish(wrapped, observer)
        return TrainReport(
            config.folder, model, self._done(), self.refused, len(self.data.corrupt), self.figures, self.stopping.by
        )

    def _run_stage(self, stage: Stage, state: dict[str, Tensor] | None, observer: Observer) -> nn.Module:
        """One stage from its next step on, or up to where the run is stopped. state: of a checkpoint in this stage."""
        trainee, place = self.trainee, self.place
        classes = class_texts(stage, self.data.collate(), place.device)
        class_keys = trainee.begin(stage, None if classes is None else self._known(classes))
        wrapped = wrap(trainee, self.parallel, place)
        named = [(name.removeprefix("model."), p) for name, p in trainee.named_parameters()]
        optimiser = build_optimiser(named, stage)
        average = None if stage.average is None else Average(_trained(trainee), stage.average)
        if state is not None:  # of a checkpoint, which is never from before a stage's first step
            load_state(wrapped, optimiser, state)
            if average is not None:
                average.load(state)
        guard = Guard(stage.name)
        flops = sample_flops([part for part in parts(trainee.model.config, stage) if part.trained or not stage.cache])
        cache = self._features(stage, observer)
        if self.stopping.by is not None:
            return wrapped
        first = self.step
        observer.begin(stage.name, first, stage.steps)
        with self.data.batches(stage, first, cache) as loaded:
            trainee.train()
            for step in range(first, stage.steps):
                begun, waited = time.perf_counter(), loaded.waited
                batch = self._known(next(loaded).to(place.device))
                lr = rate_at(step, stage.steps, stage.lr, stage.warmup, cosine=stage.schedule == "cosine")
                statistics = [value.clone() for value in running_statistics(wrapped)]
                set_rate(optimiser, lr)
                loss, norm = self._gradient(wrapped, stage, step, batch, class_keys)
                if guard.allows(loss, norm):
                    optimiser.step()
                    trainee.stepped()
                    if average is not None:
                        average.update(_trained(trainee))
                else:
                    self.refused += 1
                    for value, kept in zip(running_statistics(wrapped), statistics, strict=True):
                        value.copy_(kept)
                optimiser.zero_grad(set_to_none=True)
                self.step = step + 1
                seconds = time.perf_counter() - begun
                rate = stage.batch * flops / (seconds * place.ranks)
                observer.step(
                    stage.name, step, {"loss": loss, "norm": norm, "lr": lr, **trainee.measures()},
                    samples=stage.batch, seconds=seconds, waited=loaded.waited - waited,
                    mfu=None if self.peak is None else rate / self.peak, keep=True,
                )  # fmt: skip
                if self._hooks(wrapped, stage, optimiser, average, observer):
                    break
            self.data.note(loaded.corrupt)
        if self.step == stage.steps:
            if average is not None:
                load_weights(wrapped, average.weights)
            observer.say(self._ended(stage, observer, loaded, guard.refused))
            self.stage, self.step = self.stage + 1, 0
        return wrapped

    def _gradient(
        self, wrapped: nn.Module, stage: Stage, step: int, batch: Batch, class_keys: Tensor | None
    ) -> tuple[float, float]:
        """Add the gradient of a step; its loss and the gradient's norm before it was cut, the same on every rank."""
        torch.manual_seed(key_of(self.config.seed, stage.name, step, self.place.rank) % 2**63)
        gather = Gathering.of(len(batch), self.place.device)
        batch = batch.filled(*gather.any(batch.query is not None, batch.negatives is not None))
        rows = Rows.of(batch, class_keys)
        chunks = batch.split(gather.chunks(stage.chunk or gather.rows))  # as many on every rank

        def of_all(found: Any) -> Tensor:
            return self.trainee.loss(found, rows, gather, step)

        loss = grad_cache_step(wrapped, of_all, chunks)
        norm = clip_gradients(wrapped.parameters(), stage.clip)
        return float(mean_over_ranks(loss)), norm

    def _hooks(
        self, wrapped: nn.Module, stage: Stage, optimiser: torch.optim.Optimizer, average: Average | None,
        observer: Observer,
    ) -> bool:  # fmt: skip
        """After a step: evaluation where it is due, and a checkpoint where one is, or where the run is ended here;
        whether it is. All that ranks can see differently goes to all of them in between."""
        config, last, score = self.config, self.step == stage.steps, -math.inf
        if config.evaluate is not None and (last or self.step % config.evaluate.every == 0):
            self.figures = self._evaluate(wrapped, stage)
            observer.write({"stage": stage.name, "step": self.step, **self.figures})
            score = self.figures["t2v_R@1"] + self.figures["v2t_R@1"]
        seen = torch.tensor([score, self.stopping.asked is not None], dtype=torch.float64, device=self.place.device)
        score, asked = max_over_ranks(seen).tolist()
        self.stopping.agree(asked > 0)
        better = score > self.best
        self.best = max(self.best, score)
        ends = self.stopping.by is not None
        if last or better or ends or self.step % config.checkpoint.every == 0:
            self._save(wrapped, optimiser, average, better, observer)
        return ends

    def _save(
        self, wrapped: nn.Module, optimiser: torch.optim.Optimizer, average: Average | None, better: bool,
        observer: Observer,
    ) -> None:  # fmt: skip
        """A checkpoint. One that can't be written is said; the last good one stays, and the run goes on for a while."""
        tensors = state_of(wrapped, optimiser, self.left_out) if optimiser.state else {}
        failed = False
        if self.place.rank == 0 and tensors:
            tensors |= {} if average is None else average.tensors()
            header = header_of(self.config, self.stage, self.step, self.best)
            try:
                self.folder.save(self._done(), tensors, header, best=better)
            except OSError as error:
                failed = True
                observer.say(f"the checkpoint of step {self._done()} could not be written, the last one stays: {error}")
        self._unsaved = self._unsaved + 1 if self._anywhere(failed) else 0
        if self._unsaved == _MOST_FAILED_SAVES:
            raise TrainingError(
                f"{_MOST_FAILED_SAVES} checkpoints in a row could not be written to {self.folder.folder}"
            )

    def _evaluate(self, wrapped: nn.Module, stage: Stage) -> dict[str, float]:
        """Retrieval on the validation set, as the stage sees it. Every rank does all of it."""
        evaluate = self.config.evaluate
        assert evaluate is not None  # the caller has looked
        wrapped.eval()
        with self.data.in_order(evaluate.data, stage, self._cache) as loaded:
            figures = retrieval(
                lambda batch: wrapped(self._known(batch.to(self.place.device))), loaded, evaluate.samples
            )
        wrapped.train()
        return figures

    def _features(self, stage: Stage, observer: Observer) -> FeatureCache | None:
        """What the frozen X-encoder makes of the stage's stretches, computed now where it is not there yet."""
        self._cache = cache = self.data.cache(stage)
        if cache is None:
            return None
        done = self.stopping.finishes(partial(self.data.fill, stage, cache, observer))  # what was computed stays
        self.stopping.agree(self._anywhere(not done))
        cache.reload()
        return cache

    def _finish(self, wrapped: nn.Module, observer: Observer) -> Path | None:
        """The checkpoint of the finished model, with its Y-decoder, and the curves; None where a signal ended the
        training of the Y-decoder. A run of tokens ends with its last checkpoint."""
        config, folder = self.config, self.config.folder / "model"
        if config.tokens is not None:
            observer.draw()
            return self.folder.named(LATEST)
        model = self.trainee.model
        if config.parallel.mode == "fsdp2":
            weights = weights_of(wrapped)
            if self.place.rank == 0:
                model = VLJepa(model.config)
                model.load_state_dict(
                    {n.removeprefix("model."): w for n, w in weights.items() if n.startswith("model.")}
                )
        if self.place.rank == 0:
            model.requires_grad_(True)
            for name in self.trainee.frozen:
                model.get_parameter(name).requires_grad_(False)
            if config.concept_trust:
                model.trust_concepts(config.concept_trust)
            model.eval()
            save = partial(save_model, folder=folder, include_frozen=self.complete)
            save(model, self.tokenizers)
            if config.decoder is not None:
                decoder = partial(
                    finish_decoder, model.to(self.place.device), self.tokenizers, config, self.data.sources, observer,
                    self._predicted, save,
                )  # fmt: skip
                if not self.stopping.finishes(decoder):
                    self.stopping.agree(True)  # the other ranks have nothing left to do
                    return None
        observer.draw()
        return folder

    @torch.no_grad()
    def _predicted(self, model: VLJepa, wanted: Predicted) -> tuple[Tensor, list[str]]:
        """Embeddings (N, E) of samples as the last stage sees them, by the finished model, and their texts. On one rank
        alone."""
        batch = min(wanted.samples, 64)
        stage = self.config.stages[-1].model_copy(
            update={"name": "predicted", "data": wanted.data, "negatives": 0, "batch": batch,
                    "steps": -(-wanted.samples // batch)}
        )  # fmt: skip
        made: list[Tensor] = []
        texts: list[str] = []
        with self.data.batches(stage, 0, self.data.cache(stage), alone=True) as loaded:
            for each in loaded:
                known = self._known(each.to(self.place.device))
                made.append(model.predict(known.video, *query_of(known)))
                texts += each.texts
        return torch.cat(made), texts

    def _ended(self, stage: Stage, observer: Observer, loaded: Batches, refused: int) -> str:
        wait = 100 * observer.waited / max(observer.seconds, 1e-9)
        rate = observer.samples / max(observer.seconds, 1e-9)
        text = f"{stage.name}: {stage.steps} steps, {rate:.3g} samples/s, waiting for data {wait:.1f} % of the time"
        text += f", {refused} steps refused since they were not finite" * bool(refused)
        text += f", {len(loaded.corrupt)} samples that could not be read" * bool(loaded.corrupt)
        text += f", {loaded.cut} samples with a text that was cut off" * bool(loaded.cut)
        return text + "".join(f", {name} {value}" for name, value in self.figures.items())

    def _done(self) -> int:
        """Steps taken in all stages together."""
        return sum(stage.steps for stage in self.config.stages[: self.stage]) + self.step

    def _anywhere(self, here: bool) -> bool:
        """Whether it is so on any rank. Collective."""
        return bool(max_over_ranks(torch.tensor(float(here), device=self.place.device)) > 0)


def trainee_of(config: RunConfig, model: VLJepa, decoder: Tokenizer) -> Trainee | TokenTrainee:
    """What a run trains. decoder: the tokenizer of the Y-decoder. Raises InputError for token sizes that don't fit."""
    if config.tokens is not None:
        return TokenTrainee(model, config.tokens, decoder)
    return Trainee(model, averages=any(stage.y_encoder == "ema" for stage in config.stages))


def _trained(trainee: Trainee | TokenTrainee) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in trainee.named_parameters() if parameter.requires_grad}
